// Made by `npm run embed`; edit src/event/record.ts, not this file.

import type { StreamSchema } from './stream-fields.ts'

export const EVENTS_SCHEMA: StreamSchema = {
  "fields": [
    { "name": "id", "type": "string", "required": true },
    { "name": "type", "type": "string", "required": true },
    { "name": "timestamp", "type": "timestamp", "unit": "microsecond", "required": true },
    { "name": "ns", "type": "string", "required": true },
    { "name": "source", "type": "string", "required": true },
    { "name": "epoch", "type": "string", "required": false },
    { "name": "lsn", "type": "int64", "required": false },
    { "name": "txid", "type": "string", "required": false },
    { "name": "correlation_id", "type": "string", "required": false },
    { "name": "op", "type": "string", "required": false },
    { "name": "store", "type": "string", "required": false },
    { "name": "table", "type": "string", "required": false },
    { "name": "key", "type": "string", "required": false },
    { "name": "before", "type": "json", "required": false },
    { "name": "after", "type": "json", "required": false },
    { "name": "actor", "type": "string", "required": false },
    { "name": "data", "type": "json", "required": false },
    { "name": "visibility", "type": "string", "required": false },
    { "name": "_meta", "type": "json", "required": true }
  ]
}
