// Tables for the queries of streams/, written by the library's own writer, with faults that the lake would not let in but
// a reader over Basin Pipelines may meet.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ulid } from 'ulid'
import { expect } from 'vitest'
import type { Row } from '../../src/lake/iceberg/schema.ts'
import { createProject, openLake, runIn } from '../cli/lake-fixture.ts'

export const NOW_MS = Date.now()
export const MINUTE_MS = 60_000
export const DAY_MS = 86_400_000

/** Two epochs of one object, in their order. */
export const FIRST_EPOCH = ulid(NOW_MS - 20 * DAY_MS)
export const SECOND_EPOCH = ulid(NOW_MS - DAY_MS)

interface Times {
  /** When it happened. */
  readonly atMs?: number
  /** When it was ingested. */
  readonly takenMs?: number
}

/** A row of the table: a committed event, a few minutes ago. */
export function committed(lsn: number, fields: Row = {}, times: Times = {}): Row {
  return emitted({ source: 'acme/DO/Shop', epoch: FIRST_EPOCH, lsn: BigInt(lsn), txid: ulid(), ...fields }, times)
}

/** A row of the table: an event without an outbox. */
export function emitted(fields: Row = {}, { atMs = NOW_MS - 10 * MINUTE_MS, takenMs = atMs }: Times = {}): Row {
  return {
    id: ulid(),
    type: 'Order.placed',
    timestamp: BigInt(atMs) * 1000n,
    ns: 'acme',
    source: 'acme/DO/emitter',
    _meta: '{"schemaVersion":1,"source":"DO/Shop"}',
    __ingest_ts: BigInt(takenMs) * 1000n,
    ...fields,
  }
}

/** The same row, ingested once more. */
export function again(row: Row, afterMs = MINUTE_MS): Row {
  return { ...row, __ingest_ts: BigInt(String(row['__ingest_ts'])) + BigInt(afterMs) * 1000n }
}

export function stream(name: string): string {
  return readFileSync(join(import.meta.dirname, '../../streams', name), 'utf8')
}

/**
 * What Basin's JSON functions return for a missing field is documented for Basin Pipelines, but not for Basin SQL: the
 * queries must answer the same if it is NULL.
 */
export const NULL_FOR_MISSING = `CREATE OR REPLACE MACRO json_get_int(document, key) AS TRY_CAST(document->>key AS BIGINT);
CREATE OR REPLACE MACRO json_get_str(document, key) AS document->>key;\n`

export type Answer = Record<string, unknown>[]

/** A table with these rows, to query with the command. */
export async function landedTable(rows: readonly Row[]) {
  const project = await createProject()
  const lake = await openLake(project.root)
  await lake.append(rows)
  return {
    root: project.root,
    lake,
    remove: project.remove,
    async query(sql: string): Promise<Answer> {
      const { code, stdout, stderr } = await runIn(project.root, ['query', sql, '--json'])
      expect({ code, stderr }).toMatchObject({ code: 0 })
      return JSON.parse(stdout) as Answer
    },
  }
}
