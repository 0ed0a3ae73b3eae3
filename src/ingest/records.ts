// From a body's text to records: all of them good, or none accepted.

import { CDCError } from '../error.ts'
import { jsonProblem, parseJSON } from '../event/json.ts'
import { type EventRecord, recordFields } from '../event/record.ts'
import { utf8Bytes } from '../event/utf8.ts'
import { Refusal } from '../http/error-response.ts'
import { describeProblems, type Problem } from '../problem.ts'
import { countMembers, type JSONShape, jsonShape } from './json-shape.ts'
import {
  BODY_BYTES_MAX,
  BODY_DEPTH_MAX,
  CONTAINERS_MAX,
  PARTITIONS_MAX,
  RECORD_BYTES_MAX,
  RECORDS_MAX,
} from './limits.ts'

/** The form of the records in a body: one array, or a record on each line. */
export type BodyFormat = 'json' | 'ndjson'

/** The format that a content-type names. @throws {Refusal} 415 for any other. */
export function bodyFormatOf(contentType = ''): BodyFormat {
  const [type = '', ...parameters] = contentType.toLowerCase().split(';')
  const charset = parameters.map((parameter) => parameter.trim()).find((parameter) => parameter.startsWith('charset='))
  const isUtf8 = charset === undefined || /^charset="?utf-8"?$/.test(charset)
  if (isUtf8 && type.trim() === 'application/json') return 'json'
  if (isUtf8 && type.trim() === 'application/x-ndjson') return 'ndjson'
  throw new Refusal(415, 'ingest: send content-type application/json or application/x-ndjson, in UTF-8')
}

/**
 * The records of a body, without the fields that are not those of a record.
 *
 * @throws {CDCError} `invalid-argument` if it is not such JSON, or if reading it would change a value.
 * @throws {Refusal} 400 with the record's index and field, 413 above a limit.
 */
export function parseRecords(text: string, format: BodyFormat): EventRecord[] {
  let bytes = 0
  const partitions = new Set<string>()
  return (format === 'json' ? parseArray(text) : parseLines(text)).map((given, index) => {
    const record = parseRecord(given, index)
    if (partitions.add(partitionOf(record)).size > PARTITIONS_MAX)
      throw new Refusal(
        413,
        `ingest: the records are of more than ${PARTITIONS_MAX} types and days; send smaller batches, or fewer types`,
      )
    const recordBytes = utf8Bytes(JSON.stringify(record))
    if (recordBytes > RECORD_BYTES_MAX)
      throw new Refusal(413, `ingest: record ${index} is ${recordBytes} bytes, the limit is ${RECORD_BYTES_MAX}`)
    bytes += recordBytes + 1
    // Numbers may have become longer: 1e20 has 21 digits.
    if (bytes > BODY_BYTES_MAX)
      throw new Refusal(
        413,
        `ingest: the records are larger than ${BODY_BYTES_MAX} bytes with their numbers written out; send smaller batches`,
      )
    return record
  })
}

function parseArray(text: string): unknown[] {
  const shape = jsonShape(text)
  if (shape.elements > RECORDS_MAX) throw tooMany()
  const records = parseChecked(text, shape, 'the body')
  if (!Array.isArray(records)) throw invalid('the body is not an array of records')
  return records
}

/** Lines end with a line feed, as in NDJSON, with or without a carriage return before it. Blank ones are skipped. */
function parseLines(text: string): unknown[] {
  const records: unknown[] = []
  let containers = 0
  for (let start = 0; start < text.length;) {
    const feed = text.indexOf('\n', start)
    const end = feed === -1 ? text.length : feed
    const line = text.slice(start, end)
    start = end + 1
    if (/^[ \t\r]*$/.test(line)) continue
    if (records.length === RECORDS_MAX) throw tooMany()
    const shape = jsonShape(line)
    containers += shape.containers
    records.push(parseChecked(line, { ...shape, containers, depth: shape.depth + 1 }, `record ${records.length}`))
  }
  return records
}

function parseChecked(text: string, shape: JSONShape, subject: string): unknown {
  if (shape.depth > BODY_DEPTH_MAX) throw invalid(`${subject} is nested deeper than ${BODY_DEPTH_MAX} levels`)
  if (shape.containers > CONTAINERS_MAX)
    throw new Refusal(413, `ingest: the body has more than ${CONTAINERS_MAX} arrays and objects; send smaller batches`)
  if (shape.isRounded)
    throw invalid(`${subject} has an integer above 2^53, which would be rounded; send it as a string`)
  const value = parseJSON(text)
  // The parser's own reason would quote what was sent.
  if (value === undefined) throw invalid(`${subject} is not valid JSON`)
  if (countMembers(value) !== shape.members) throw invalid(`${subject} has an object with the same key twice`)
  return value
}

function parseRecord(given: unknown, index: number): EventRecord {
  const [problem] = recordFields.problems(given)
  if (problem !== undefined) throw badRecord(index, problem)
  const record = recordFields.take(given)
  // Not a field of any sender's, but a receiver that copies fields by assignment would take it for the prototype.
  Reflect.deleteProperty(record._meta, '__proto__')
  const metaProblem = jsonProblem(record._meta)
  if (metaProblem !== undefined) throw badRecord(index, { path: ['_meta'], message: metaProblem })
  return record
}

/** The type and the day, as the lake divides its table. */
function partitionOf({ type, timestamp }: EventRecord): string {
  return timestamp.slice(0, 'yyyy-mm-dd'.length) + type
}

function badRecord(index: number, problem: Problem): Refusal {
  return new Refusal(400, `ingest: record ${index}: ${describeProblems([problem])}`, {
    code: 'record-invalid',
    record: { index, field: problem.path.join('.') },
  })
}

function tooMany(): Refusal {
  return new Refusal(413, `ingest: the body has more than ${RECORDS_MAX} records; send smaller batches`)
}

function invalid(problem: string): CDCError {
  return new CDCError('invalid-argument', `ingest: ${problem}`)
}
