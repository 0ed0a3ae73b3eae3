// SQL over what has landed, read as `durable-outbox query` reads it.

import { loadDuckDB, type QueryResult, runSQL } from '../../src/cli/duckdb.ts'
import { readLocalTable } from '../../src/cli/local-lake.ts'
import { ROOT } from './wrangler.ts'

type Row = Awaited<ReturnType<typeof readRows>>[number]

/** A snapshot of the table. */
export interface OpenTable {
  /** Local copies of its data files. */
  readonly files: readonly string[]
  /** Runs SQL with the table in sight as `events`. */
  query(sql: string): Promise<QueryResult>
}

/** Opens the table's current snapshot in a state directory of the project's own Worker. */
export async function openTable(state: string): Promise<OpenTable> {
  const [duckdb, table] = await Promise.all([
    loadDuckDB(),
    readLocalTable({ state }, { cwd: ROOT, env: {}, note: () => undefined }),
  ])
  return { files: table.files, query: (sql) => runSQL(duckdb, table, sql) }
}

/** All rows of an answer. */
export async function readRows(result: QueryResult) {
  return (await Array.fromAsync(result.rows())).flat()
}

/** All rows of an answer as objects. */
export async function readObjects(result: QueryResult): Promise<Record<string, Row[number]>[]> {
  const rows = await readRows(result)
  return rows.map((row) => Object.fromEntries(result.keys.map((key, index) => [key, row[index] ?? null])))
}
