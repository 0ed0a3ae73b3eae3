// How a trigger appends to the log: in SQL, one row for each event, with the same LSNs, ids and sizes as `append` gives.

import { EVENT_BYTES_MAX } from '../event/limits.ts'
import { quoteText } from '../sqlite/quote.ts'
import { LAST_BYTES, LAST_LSN } from './end-of-log.ts'

/** What begins the message of an error that a trigger raises; the error's code follows, and then what to do. */
export const RAISED = 'durable-outbox/'

/**
 * The statement of a trigger that appends one event.
 *
 * @param content SQL of the event's further fields, as JSON text that follows another field.
 * @param where what the event is of, for errors.
 */
export function appendEventSQL(content: string, where: string): string {
  const tooLarge = `${RAISED}event-too-large: ${where}: a row makes an event of more than ${EVENT_BYTES_MAX} bytes; exclude its large columns`
  const withNUL = `${RAISED}event-invalid: ${where}: a text holds a NUL, which no event can carry; store it as a BLOB`
  // The OFFSET makes SQLite make the event once, and not wherever it is mentioned.
  // The id is a ULID: its time is that of the transaction's, and hexadecimal digits are digits of base 32 too.
  return `INSERT INTO _cdc_outbox (lsn, count, bytes, txid, time, events)
SELECT ${LAST_LSN} + 1, 1, ${LAST_BYTES} + envelope_bytes + octet_length(event),
  txid, time,
  '[' || CASE WHEN octet_length(event) > ${EVENT_BYTES_MAX} THEN RAISE(ABORT, ${quoteText(tooLarge)})
    WHEN instr(event, '\\u0000') > 0 THEN RAISE(ABORT, ${quoteText(withNUL)}) ELSE event END || ']'
FROM (SELECT txid, time, envelope_bytes,
  '{' || fields || '"id":"' || substr(txid, 1, 10) || hex(randomblob(8)) || '"' || ${content} || '}' AS event
  FROM _cdc_transaction LIMIT 1 OFFSET 0);`
}
