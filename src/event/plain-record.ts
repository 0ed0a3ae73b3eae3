// The verdict of the records' schema without its price, for a receiver of very many: a good record is recognised by its
// fields, and whatever is not recognised, the schema decides about.

import { parseJSON } from './json.ts'
import { isName, isPlainField, isPlainText } from './plain-event.ts'
import { type EventRecord, eventRecordSchema } from './record.ts'
import { TIMESTAMP } from './unified-event.ts'

/** A ULID as the schema takes it. */
const ULID = /^[0-9A-HJKMNP-TV-Z]{26}$/i

const isField: ReadonlyMap<string, (value: unknown) => boolean> = new Map(
  Object.entries({
    id: isULID,
    type: isName,
    timestamp: isTimestamp,
    ns: isName,
    source: isName,
    epoch: isULID,
    lsn: isCount,
    txid: isName,
    correlation_id: isName,
    op: isName,
    store: isName,
    table: isName,
    key: isName,
    before: isPlainField,
    after: isPlainField,
    actor: isName,
    data: isPlainField,
    visibility: isName,
    _meta: isMeta,
  } satisfies Record<keyof EventRecord, (value: unknown) => boolean>),
)

/** What an empty record lacks. */
const REQUIRED = eventRecordSchema.safeParse({}).error?.issues.map(({ path }) => String(path[0])) ?? []
/** Those of the others that only come together. */
const PLACE = ['epoch', 'lsn', 'txid']

export interface ParsedRecords {
  readonly records: EventRecord[]
  /** Whether they are just what the JSON says, and nothing was left out. */
  readonly isVerbatim: boolean
}

/**
 * Records from JSON, checked.
 *
 * @throws what `refuse` makes of the index and the problem of the first that is bad.
 */
export function parseRecordsJSON(json: string, refuse: (index: number, problem: string) => Error): ParsedRecords {
  const parsed = parseJSON(json)
  if (!Array.isArray(parsed)) throw refuse(-1, 'records must be an array, as JSON')
  const isPlain = isPlainText(json)
  let isVerbatim = true
  const records = parsed.map((record: unknown, index) => {
    if (isPlain && isPlainRecord(record)) return record
    isVerbatim = false
    const checked = eventRecordSchema.safeParse(record)
    if (checked.success) return checked.data
    const [issue] = checked.error.issues
    throw refuse(index, `${issue?.path.join('.')}: ${issue?.message}`)
  })
  return { records, isVerbatim }
}

/** Whether every field is known and good, but for the characters of its strings. */
function isPlainRecord(record: unknown): record is EventRecord {
  if (typeof record !== 'object' || record === null || Array.isArray(record)) return false
  const fields = record as Record<string, unknown>
  for (const name in fields) if (isField.get(name)?.(fields[name]) !== true) return false
  if (!REQUIRED.every((name) => name in fields)) return false
  return PLACE.every((name) => name in fields) || !PLACE.some((name) => name in fields)
}

function isULID(value: unknown): boolean {
  return typeof value === 'string' && ULID.test(value)
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && Number(value) > 0
}

function isTimestamp(value: unknown): boolean {
  return typeof value === 'string' && TIMESTAMP.test(value) && !Number.isNaN(Date.parse(value))
}

function isMeta(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const { schemaVersion, source, epoch, retries } = value as Record<string, unknown>
  return (
    isCount(schemaVersion) &&
    isName(source) &&
    (epoch === undefined || isULID(epoch)) &&
    (retries === undefined || retries === 0 || isCount(retries))
  )
}
