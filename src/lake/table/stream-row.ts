// The two sides of streams/events.sql: what it reads, and what it makes.

import type { EventRecord } from '../../event/record.ts'

/** A record as SQL sees it: each field is a column, an object is JSON text, and a missing field is null. */
export type StreamEvent = Readonly<Record<keyof EventRecord | '__ingest_ts', string | number | null>>

/** A row of the table, before its values have the types of its columns. */
export type StreamRow = Readonly<Record<string, string | number | null>>
