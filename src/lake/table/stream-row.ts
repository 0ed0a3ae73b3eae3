import type { EventRecord } from '../../event/record.ts'

/** A record as SQL sees it: each field is a column, objects are JSON text, and what is missing is null. */
export type StreamEvent = Readonly<Record<keyof EventRecord | '__ingest_ts', string | number | null>>

/** A row of the table, before its values have the types of its columns. */
export type StreamRow = Readonly<Record<string, string | number | null>>
