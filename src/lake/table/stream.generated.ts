// Made by `npm run embed`; edit the SQL, not this file.

import type { StreamEvent, StreamRow } from './stream-row.ts'

/** The row of the table that streams/events.sql makes of an event. */
export function rowOf(event: StreamEvent): StreamRow {
  return {
    "id": event["id"],
    "type": event["type"],
    "timestamp": event["timestamp"],
    "ns": event["ns"],
    "source": [event["ns"], "/", event["source"]].join(''),
    "table_url": (event["table"] === null ? null : [event["ns"], "/", event["table"]].join('')),
    "op": event["op"],
    "store": event["store"],
    "key": event["key"],
    "before": event["before"],
    "after": event["after"],
    "actor": event["actor"],
    "data": event["data"],
    "correlation_id": event["correlation_id"],
    "txid": event["txid"],
    "epoch": event["epoch"],
    "lsn": event["lsn"],
    "visibility": event["visibility"],
    "_meta": event["_meta"],
    "__ingest_ts": event["__ingest_ts"],
  }
}
