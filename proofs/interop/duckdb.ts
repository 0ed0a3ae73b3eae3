// DuckDB over the same table, reached as `durable-outbox query` reaches it.

import { loadDuckDB, runSQL } from '../../src/cli/duckdb.ts'
import { readLocalTable } from '../../src/cli/local-lake.ts'
import type { Cell, Rows } from './check.ts'
import { CONFIG } from './lake.ts'

/** Opens the table in a state directory. @returns what runs a statement over `events`, and where its data files are. */
export async function openDuckDB(
  state: string,
): Promise<{ ask: (sql: string) => Promise<Rows>; files: readonly string[] }> {
  const duckdb = await loadDuckDB()
  const table = await readLocalTable({ state, config: CONFIG }, { cwd: process.cwd(), note: () => undefined })
  const ask = async (sql: string) => {
    const rows: Cell[][] = []
    for await (const portion of (await runSQL(duckdb, table, sql)).rows())
      for (const row of portion) rows.push(row.map(toCell))
    return rows
  }
  return { ask, files: table.files }
}

function toCell(value: unknown): Cell {
  if (value === null || typeof value === 'number' || typeof value === 'string') return value
  throw new Error(`interop: DuckDB answered ${JSON.stringify(value)}, which is no plain value`)
}
