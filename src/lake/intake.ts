// What the lake makes of a request: which of its records are new, cut into runs that are kept as rows. Keeps I5: each
// (source, epoch, lsn) is taken in once, whatever was retried, doubled or reordered on its way.

import { CDCError } from '../error.ts'
import { type EventRecord, eventRecordSchema } from '../event/record.ts'
import { utf8Bytes } from '../event/utf8.ts'
import { contains, type LSNRange } from './ranges.ts'

/** UTF-8 bytes of one run's records as JSON. The platform documents 2 MB for a SQLite row. */
const RUN_BYTES_MAX = 1_900_000

/** One outbox in one life, as the table names it: `source` is global, `<ns>/<source>`. */
export interface Origin {
  readonly source: string
  readonly epoch: string
}

/** Records of one origin with consecutive LSNs. */
export interface Run extends Origin, LSNRange {
  readonly bytes: number
  /** JSON array of the records. */
  readonly records: string
}

/** Checks what was sent. @throws {CDCError} `record-invalid`, with the record's index; then none of them is taken in. */
export function parseRecords(records: unknown): EventRecord[] {
  if (!Array.isArray(records)) throw new CDCError('record-invalid', 'send: records must be an array')
  return records.map((record, index) => {
    const parsed = eventRecordSchema.safeParse(record)
    if (parsed.success) return parsed.data
    const [issue] = parsed.error.issues
    throw new CDCError('record-invalid', `send: record ${index}: ${issue?.path.join('.')}: ${issue?.message}`)
  })
}

/** Sorts records by the outbox that they come from. */
export function groupByOrigin(records: readonly EventRecord[]): { origin: Origin; records: EventRecord[] }[] {
  const groups = Map.groupBy(records, ({ ns, source, epoch }) => JSON.stringify([`${ns}/${source}`, epoch]))
  return Array.from(groups.values(), (group) => ({ origin: originOf(group), records: group }))
}

/** The records of one origin that are not among the LSNs `taken`, as runs. */
export function newRuns(origin: Origin, records: readonly EventRecord[], taken: readonly LSNRange[]): Run[] {
  const runs: { first: number; last: number; bytes: number; json: string[] }[] = []
  for (const record of records.toSorted((a, b) => a.lsn - b.lsn)) {
    const run = runs.at(-1)
    if (contains(taken, record.lsn) || run?.last === record.lsn) continue
    const json = JSON.stringify(record)
    const bytes = utf8Bytes(json) + 1
    if (run !== undefined && run.last + 1 === record.lsn && run.bytes + bytes <= RUN_BYTES_MAX) {
      run.last = record.lsn
      run.bytes += bytes
      run.json.push(json)
    } else runs.push({ first: record.lsn, last: record.lsn, bytes: bytes + 1, json: [json] })
  }
  return runs.map(({ first, last, bytes, json }) => ({ ...origin, first, last, bytes, records: `[${json.join(',')}]` }))
}

function originOf(group: readonly EventRecord[]): Origin {
  const [record] = group
  if (record === undefined) throw new Error('a group of records is never empty')
  return { source: `${record.ns}/${record.source}`, epoch: record.epoch }
}
