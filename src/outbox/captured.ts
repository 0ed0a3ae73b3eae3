// How a trigger appends to the log: in SQL, one row for each event, with the same LSNs, ids and sizes as `append` gives.

import { EVENT_BYTES_MAX } from '../event/limits.ts'
import { quoteText } from '../sqlite/quote.ts'
import { LAST_BYTES, LAST_LSN } from './end-of-log.ts'

/** What begins the message of an error that a trigger raises; the error's code follows, and then what to do. */
export const RAISED = 'durable-outbox/'

/** A captured event, in SQL. */
export interface CapturedEventSQL {
  /** What is the same for all such events: `"op":"c","table":"t"`. */
  readonly fields: string
  /** The key, as text. */
  readonly key: string
  /** Rows as JSON text. One of them at least. */
  readonly before?: string | undefined
  readonly after?: string | undefined
  /** What follows `FROM _cdc_transaction AS x`, to find the row, or to append nothing. */
  readonly from: string
  /** What the event is of, for errors. */
  readonly tableName: string
}

/** The statement of a trigger that appends one event. An event that is too large goes without `before`, or not at all. */
export function appendEventSQL({ fields, key, before, after, from, tableName }: CapturedEventSQL): string {
  const tooLarge =
    `${RAISED}event-too-large: ${tableName}: a row makes an event of more than ${EVENT_BYTES_MAX} bytes; ` +
    'exclude its large columns'
  const head = `'{' || fields || '"id":"' || substr(txid, 1, 10) || hex(randomblob(8)) || ${quoteText(`",${fields},"captured":1,"key":`)} || json_quote(key)`
  const withAfter = after === undefined ? head : `${head} || ',"after":' || after`
  // Each OFFSET makes SQLite compute what is below it once, and not wherever it is mentioned.
  return `INSERT INTO _cdc_outbox (lsn, count, bytes, txid, time, events)
SELECT ${LAST_LSN} + 1, 1, ${LAST_BYTES} + envelope_bytes + octet_length(event),
  txid, time, '[' || CASE WHEN octet_length(event) > ${EVENT_BYTES_MAX} THEN RAISE(ABORT, ${quoteText(tooLarge)}) ELSE event END || ']'
FROM (SELECT txid, time, envelope_bytes,
  ${before === undefined ? `head || '}'` : `head || iif(octet_length(head) + octet_length(before) + 16 > ${EVENT_BYTES_MAX}, '', ',"before":' || before) || '}'`} AS event
  FROM (SELECT txid, time, envelope_bytes, before, ${withAfter} AS head
    FROM (SELECT x.txid AS txid, x.time AS time, x.envelope_bytes AS envelope_bytes, x.fields AS fields, ${key} AS key, ${before ?? 'NULL'} AS before, ${after ?? 'NULL'} AS after
      FROM _cdc_transaction AS x${from} LIMIT 1 OFFSET 0) LIMIT 1 OFFSET 0) LIMIT 1 OFFSET 0);`
}
