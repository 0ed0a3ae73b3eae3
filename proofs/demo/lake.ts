// SQL over what has landed, read as `durable-outbox query` reads it.

import { join } from 'node:path'
import { loadDuckDB, type QueryResult, runSQL } from '../../src/cli/duckdb.ts'
import { readLocalTable } from '../../src/cli/local-lake.ts'
import { printTable } from '../../src/cli/output.ts'

/** Answers SQL with one object for each row. */
export type Query = (sql: string) => Promise<unknown[]>

export interface OpenTable {
  readonly query: Query
  /** Prints an answer as a table, its first rows only. */
  print(sql: string, maxRows: number): Promise<void>
}

/** Opens the table's current snapshot. Notes about it go to `note`. */
export async function openTable(state: string, note: (text: string) => void): Promise<OpenTable> {
  const { stdout } = process
  const terminal = { line: (text: string) => stdout.write(`${text}\n`), columns: stdout.columns ?? 120 }
  const root = join(import.meta.dirname, '../..')
  const [duckdb, table] = await Promise.all([loadDuckDB(), readLocalTable({ state }, { cwd: root, note })])
  return {
    query: async (sql) => objects(await runSQL(duckdb, table, sql)),
    print: async (sql, maxRows) => printTable(await runSQL(duckdb, table, sql), terminal, maxRows),
  }
}

async function objects(result: QueryResult): Promise<unknown[]> {
  const all: unknown[] = []
  for await (const rows of result.rows())
    for (const row of rows) all.push(Object.fromEntries(result.keys.map((key, index) => [key, row[index]])))
  return all
}
