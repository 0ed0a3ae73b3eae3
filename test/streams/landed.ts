// Tables for the queries of streams/, written by the library's own writer, with more wrong about them than the lake lets
// in: whatever a reader over Basin Pipelines may meet.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ulid } from 'ulid'
import { expect } from 'vitest'
import type { Row } from '../../src/lake/iceberg/schema.ts'
import { createProject, openLake, runIn } from '../cli/lake-fixture.ts'

export const NOW_MS = Date.now()
export const MINUTE_MS = 60_000
export const DAY_MS = 86_400_000

/** Epochs of two lives, in their order. */
export const FIRST_EPOCH = ulid(NOW_MS - 20 * DAY_MS)
export const SECOND_EPOCH = ulid(NOW_MS - DAY_MS)

interface Times {
  /** When it happened. */
  readonly atMs?: number
  /** When it was taken in. */
  readonly takenMs?: number
}

/** A row of the table: a committed event, a few minutes ago. */
export function committed(lsn: number, fields: Row = {}, times: Times = {}): Row {
  return emitted({ source: 'acme/DO/Shop', epoch: FIRST_EPOCH, lsn: BigInt(lsn), txid: ulid(), ...fields }, times)
}

/** A row of the table: an event that went through no outbox. */
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

/** The same row, taken in once more. */
export function again(row: Row, afterMs = MINUTE_MS): Row {
  return { ...row, __ingest_ts: BigInt(String(row['__ingest_ts'])) + BigInt(afterMs) * 1000n }
}

export function stream(name: string): string {
  return readFileSync(join(import.meta.dirname, '../../streams', name), 'utf8')
}

/** A query's text with other parameters in the place of those that it is shipped with. */
export function withParameters(sql: string, parameters: Readonly<Record<string, string>>): string {
  return Object.entries(parameters).reduce((text, [shipped, value]) => {
    expect(text.split(shipped)).toHaveLength(2)
    return text.replace(shipped, value)
  }, sql)
}

/**
 * What Basin's JSON functions give for what is missing is documented on the page of Basin Pipelines, and not on that of
 * Basin SQL: the queries must answer the same if it is NULL.
 */
export const NULL_FOR_MISSING = `CREATE OR REPLACE MACRO json_get_int(document, key) AS TRY_CAST(document->>key AS BIGINT);
CREATE OR REPLACE MACRO json_get_str(document, key) AS document->>key;\n`

export type Answer = Record<string, unknown>[]

/** A table with these rows, to ask with the command. */
export async function landedTable(rows: readonly Row[]) {
  const project = await createProject()
  const lake = await openLake(project.root)
  await lake.append(rows)
  return {
    root: project.root,
    remove: project.remove,
    async query(sql: string): Promise<Answer> {
      const { code, stdout, stderr } = await runIn(project.root, ['query', sql, '--json'])
      expect({ code, stderr }).toMatchObject({ code: 0 })
      return JSON.parse(stdout) as Answer
    },
  }
}
