// Follows all objects by what lands in the local lake: the table is read again when it was written, and what is new in it is
// what arrived after the last event, or in the same moment and was not seen.

import { setTimeout as pause } from 'node:timers/promises'
import { overTable } from '../damaged-table.ts'
import { loadDuckDB, Session } from '../duckdb.ts'
import type { LocalLake } from '../local-lake.ts'
import type { LocalTable } from '../local-table.ts'

const POLL_MS = 1_000

/** Rows by the names of the table's columns. */
export type LandedRow = Readonly<Record<string, unknown>>

export interface LakeFollowing {
  readonly lake: LocalLake
  /** The time after which events must have arrived, as ISO 8601; from now on if it is missing. */
  readonly after: string | undefined
  readonly filter: Readonly<Record<string, string>>
  readonly signal: AbortSignal
}

export async function* followLake({ lake, after, filter, signal }: LakeFollowing): AsyncGenerator<LandedRow> {
  const session = await Session.open(await loadDuckDB())
  const columns = Object.keys(filter).map((name) => `"${name}" = $${name}`)
  const conditions = ['__ingest_ts >= CAST($after AS TIMESTAMPTZ)', ...columns].join(' AND ')
  const sql = `SELECT * FROM cdc.events WHERE ${conditions} ORDER BY __ingest_ts, source, epoch, lsn`
  let [cursor, version] = [after ?? new Date().toISOString(), -1]
  /** The ids of the events that arrived just at the cursor. */
  let seen = new Set<unknown>()
  while (!signal.aborted) {
    const table = await lake.read()
    if (table.version !== version)
      for (const row of await read(session, table, sql, { ...filter, after: cursor })) {
        const arrived = String(row['__ingest_ts'])
        if (arrived !== cursor) [cursor, seen] = [arrived, new Set()]
        if (seen.has(row['id'])) continue
        seen.add(row['id'])
        yield row
      }
    version = table.version
    await pause(POLL_MS, undefined, { signal }).catch(() => undefined)
  }
}

async function read(session: Session, table: LocalTable, sql: string, parameters: Record<string, string>) {
  await session.show(table)
  const result = await overTable(table, () => session.run(sql, parameters))
  const rows: LandedRow[] = []
  for await (const portion of result.rows())
    for (const row of portion) rows.push(Object.fromEntries(result.keys.map((key, index) => [key, row[index]])))
  return rows
}
