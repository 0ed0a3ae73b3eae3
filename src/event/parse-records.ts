// Records from the JSON that a pipeline is sent: all of them good, or none.

import { describeProblems } from '../problem.ts'
import { isPlainText, parseJSON } from './json.ts'
import { type EventRecord, recordFields } from './record.ts'

export interface ParsedRecords {
  readonly records: EventRecord[]
  /** Whether the JSON holds these records and nothing else. */
  readonly isVerbatim: boolean
}

/**
 * Parses records, without the fields that are not those of a record.
 *
 * @throws {Error} what `refuse` makes of the first bad record's index and problem; the index is -1 if there are no records.
 */
export function parseRecordsJSON(json: string, refuse: (index: number, problem: string) => Error): ParsedRecords {
  const given = parseJSON(json)
  if (!Array.isArray(given)) throw refuse(-1, 'records must be an array, as JSON')
  const isPlain = isPlainText(json)
  for (const [index, record] of given.entries()) {
    const problems = recordFields.problems(record, isPlain)
    if (problems.length > 0) throw refuse(index, describeProblems(problems))
  }
  // Each of them was just checked.
  const records = given as EventRecord[]
  const isVerbatim = records.every(hasRecordFieldsAlone)
  return { records: isVerbatim ? records : records.map((record) => recordFields.take(record)), isVerbatim }
}

function hasRecordFieldsAlone(record: EventRecord): boolean {
  for (const name in record) if (!recordFields.kinds.has(name)) return false
  return true
}
