// How a trigger appends to the log: in SQL, one row for each event, with the same LSNs, ids and sizes as `append` gives.
//
// The triggers of all captured tables insert into a view, whose own trigger makes the event's row. What a trigger is given lies
// in registers, where it can be mentioned again without a copy; and SQLite puts no row aside in a temporary table first, as it
// does where an INSERT takes rows of the very table that it writes. Measured, this halves the time of a captured write.

import { EVENT_BYTES_MAX, NAME_LENGTH_MAX } from '../event/limits.ts'
import { quoteText } from '../sqlite/quote.ts'

/** What begins the message of an error that a trigger raises; the error's code follows, and then what to do. */
export const RAISED = 'durable-outbox/'

const ULID_TIME_LENGTH = 10

/** A captured event, in SQL. */
export interface CapturedEventSQL {
  readonly type: string
  readonly op: string
  readonly tableName: string
  /** The key, as text. */
  readonly key: string
  /** Whether any key is short enough for an event. */
  readonly isKeyShort: boolean
  /** The rows before and after, as JSON text. One of them at least. */
  readonly before?: string
  readonly after?: string
  /** What finds the row that the event shows, from `FROM` on. If it finds none, nothing is appended. */
  readonly from?: string
}

/** The statement of a trigger that appends one event. An event that is too large goes without `before`, or not at all. */
export function appendEventSQL(event: CapturedEventSQL): string {
  const { type, op, tableName, key, isKeyShort, before = 'NULL', after, from } = event
  const tooLong = `${RAISED}event-invalid: ${tableName}: a key must be at most ${NAME_LENGTH_MAX} characters`
  const checkedKey = isKeyShort
    ? key
    : `iif(length(${key}) > ${NAME_LENGTH_MAX}, RAISE(ABORT, ${quoteText(tooLong)}), ${key})`
  const names = `"type":"${type}","op":"${op}","store":"relational","table":${JSON.stringify(tableName)},"captured":1,"key":`
  const content = `${quoteText(names)} || json_quote(${checkedKey})${after === undefined ? '' : ` || ',"after":' || ${after}`}`
  return `INSERT INTO _cdc_captured VALUES (${LAST_BYTES}, ${from === undefined ? content : `(SELECT ${content} ${from})`}, ${before});`
}

/** How the JSON of a transaction's captured events begins, up to the part of an id that is random: a ULID begins with its time. */
export function capturedBeginning(txid: string, attribution: string): string {
  return `[{${attribution}"id":"${txid.slice(0, ULID_TIME_LENGTH)}`
}

/** The running total of bytes at the end of the log; NULL if the newest table is empty. */
const LAST_BYTES = '(SELECT bytes FROM _cdc_outbox ORDER BY lsn DESC LIMIT 1)'

const VIEW = "CREATE VIEW _cdc_captured (last_bytes, content, before) AS SELECT 0, '', ''"

// The bytes of ten fields' punctuation and of the id are counted; more is not written here.
const SIZE = 'octet_length(fields) + octet_length(NEW.content) + 20'
const SIZE_WITH_BEFORE = `${SIZE} + octet_length(NEW.before) + 12`
const TOO_LARGE = `RAISE(ABORT, ${quoteText(`${RAISED}event-too-large: `)} || json_extract('{' || NEW.content || '}', '$.table') ||
    ${quoteText(`: a row makes an event of more than ${EVENT_BYTES_MAX} bytes; exclude its large columns`)})`

// Without an LSN, SQLite gives the row the next one.
const TRIGGER = `CREATE TRIGGER _cdc_captured_append INSTEAD OF INSERT ON _cdc_captured
WHEN NEW.content IS NOT NULL
BEGIN
INSERT INTO _cdc_outbox (lsn, count, bytes, txid, time, events)
SELECT iif(NEW.last_bytes IS NULL, (SELECT max(sealed_lsn, acked_lsn) + 1 FROM _cdc_state), NULL), 1,
  coalesce(NEW.last_bytes, (SELECT max(sealed_bytes, acked_bytes) FROM _cdc_state)) + envelope_bytes + coalesce(${SIZE_WITH_BEFORE}, ${SIZE}), txid, time,
  fields || hex(randomblob(8)) || '",' || iif(${SIZE} > ${EVENT_BYTES_MAX}, ${TOO_LARGE}, NEW.content) ||
    iif(${SIZE_WITH_BEFORE} <= ${EVENT_BYTES_MAX}, ',"before":' || NEW.before || '}]', '}]')
FROM _cdc_transaction;
END`

/** Makes the view into which the triggers of captured tables insert, or makes it again if it is not as it must be. */
export function installCaptured(sql: Pick<SqlStorage, 'exec'>): void {
  const present = sql
    .exec<{ sql: string }>("SELECT sql FROM sqlite_master WHERE name IN ('_cdc_captured', '_cdc_captured_append')")
    .toArray()
    .map((row) => row.sql)
  if (present.length === 2 && present.includes(VIEW) && present.includes(TRIGGER)) return
  sql.exec('DROP VIEW IF EXISTS _cdc_captured')
  sql.exec(VIEW)
  sql.exec(TRIGGER)
}
