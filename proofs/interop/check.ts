// What an engine must answer about the table, and where that comes from: DuckDB over the files, the metadata, or the load.

import * as z from 'zod'
import type { TableDescription } from './lake.ts'

export type Cell = string | number | null
export type Rows = readonly (readonly Cell[])[]

/** What an engine is asked: SQL over `events`, in a given snapshot or the current one. */
export interface Question {
  readonly sql: string
  readonly snapshot?: number
  /** The condition in the SQL, for an engine without SQL. */
  readonly filter?: string
}

/** For each question its rows, or the engine's error as text. */
export type Answers = readonly (Rows | string)[]

export const answersShape = z.array(
  z.union([z.string(), z.array(z.array(z.union([z.string(), z.number(), z.null()])))]),
)

/** The SQL dialect of a question. */
export type Dialect = 'clickhouse' | 'duckdb'

/** A question and the rows that it must get. */
export interface Check extends Question {
  readonly name: string
  /** Where the expected rows come from. */
  readonly by: string
  readonly expected: Rows
}

/** A condition, and how many data files an engine that uses the bounds in the manifests has to read for it. */
export interface Pruning {
  readonly condition: string
  readonly files: number
}

/** SQL in both dialects, with a second text only if they differ. */
interface Statement {
  readonly name: string
  readonly sql: string
  readonly duckdb?: string
}

const COUNTED = 'SELECT count(*), count(DISTINCT id), sum(lsn), count(*) - count("before"), count(*) - count("after")'

const statements: readonly Statement[] = [
  { name: 'rows, distinct ids, sum of lsn, nulls of before and after', sql: `${COUNTED} FROM events` },
  {
    name: 'partitions',
    sql: 'SELECT type, CAST("timestamp" AS DATE) AS day, count(*) FROM events GROUP BY type, day ORDER BY type, day',
  },
  {
    name: 'lsn per source and epoch',
    sql: 'SELECT source, epoch, min(lsn), max(lsn), count(*) FROM events GROUP BY source, epoch ORDER BY source, epoch',
  },
  // Conditions on a partition and on bounded columns: with wrong bounds in a manifest, files would be skipped here.
  { name: 'a type alone', sql: `${COUNTED} FROM events WHERE type = 'Film.rated'` },
  { name: 'a range of lsn', sql: `${COUNTED} FROM events WHERE lsn BETWEEN 100 AND 200` },
  { name: 'a key', sql: `${COUNTED} FROM events WHERE "key" = 'film-14'` },
  {
    name: 'the first day',
    sql: `${COUNTED} FROM events WHERE CAST("timestamp" AS DATE) = (SELECT min(CAST("timestamp" AS DATE)) FROM events)`,
  },
]

const DUCKDB_TYPES = 'SELECT column_name, column_type FROM (DESCRIBE events)'

const CLICKHOUSE_TYPES: Readonly<Record<string, string>> = {
  VARCHAR: 'String',
  BIGINT: 'Int64',
  'TIMESTAMP WITH TIME ZONE': "DateTime64(6, 'UTC')",
}

/** Takes from DuckDB and the metadata what an engine must answer. */
export async function createChecks(
  dialect: Dialect,
  table: TableDescription,
  committedEvents: number,
  askDuckDB: (sql: string) => Promise<Rows>,
): Promise<Check[]> {
  const checks = [
    count('rows against commits', 'the load', committedEvents),
    columnTypes(dialect, await askDuckDB(DUCKDB_TYPES), table.columns),
  ]
  for (const { name, sql, duckdb = sql } of [...statements, everyValue(table.columns)])
    checks.push({ name, sql: dialect === 'duckdb' ? duckdb : sql, by: 'DuckDB', expected: await askDuckDB(duckdb) })
  return [...checks, ...table.snapshots.map(snapshotCheck)]
}

/** Conditions that match few files or none, and how many files match, counted from the rows. */
export async function createPrunings(
  askDuckDB: (sql: string) => Promise<Rows>,
  files: readonly string[],
): Promise<Pruning[]> {
  const [[last] = []] = await askDuckDB('SELECT max(lsn) FROM events')
  const paths = files.map((path) => `'${path.replaceAll("'", "''")}'`).join(', ')
  const prunings: Pruning[] = []
  for (const condition of [`lsn >= ${last}`, "ns > 'zz'"]) {
    const [[found] = []] = await askDuckDB(
      `SELECT count(DISTINCT filename) FROM read_parquet([${paths}], filename = true) WHERE ${condition}`,
    )
    prunings.push({ condition, files: Number(found) })
  }
  return prunings
}

/** The difference between an answer and what was expected, or undefined if they are equal. */
export function difference({ expected, by }: Check, answer: Rows | string): string | undefined {
  if (typeof answer === 'string') return `it fails: ${answer}`
  const [got, wanted] = [answer.map(asText), expected.map(asText)]
  // Two engines that both see an empty table prove nothing.
  if (wanted.length === 0) return `${by} has no rows to compare with`
  const at = Array.from({ length: Math.max(got.length, wanted.length) }).findIndex((_, row) => got[row] !== wanted[row])
  if (at === -1) return undefined
  const sizes = got.length === wanted.length ? '' : `${got.length} rows instead of ${wanted.length}; `
  return `${sizes}row ${at}: it has ${got[at] ?? 'none'}, ${by} has ${wanted[at] ?? 'none'}`
}

function count(name: string, by: string, expected: number | string): Check {
  return { name, sql: 'SELECT count(*) FROM events', by, expected: [[expected]] }
}

function snapshotCheck({ id, records }: TableDescription['snapshots'][number]): Check {
  return { ...count(`rows of snapshot ${id}`, 'the metadata', records), snapshot: id }
}

/** The types from DuckDB, and from the metadata which columns have no nulls, because DuckDB does not show that. */
function columnTypes(dialect: Dialect, duckdb: Rows, columns: TableDescription['columns']): Check {
  const name = 'column types'
  if (dialect === 'duckdb') return { name, sql: DUCKDB_TYPES, by: 'DuckDB', expected: duckdb }
  const required = new Set(columns.filter((column) => column.required).map((column) => column.name))
  return {
    name,
    sql: 'DESCRIBE TABLE events SETTINGS describe_compact_output = 1',
    by: 'DuckDB and the metadata',
    expected: duckdb.map(([column = null, duckdbType]) => {
      const type = CLICKHOUSE_TYPES[String(duckdbType)] ?? `the type of ${duckdbType}`
      return [column, required.has(String(column)) ? type : `Nullable(${type})`]
    }),
  }
}

/** Every value of every row, with times in microseconds, for which the engines have different functions. */
function everyValue(columns: TableDescription['columns']): Statement {
  const select = (micros: string) => {
    const cells = columns.map(({ name, type }) => (type === 'timestamptz' ? `${micros}("${name}")` : `"${name}"`))
    return `SELECT ${cells.join(', ')} FROM events ORDER BY source, epoch, lsn`
  }
  return { name: 'every value', sql: select('toUnixTimestamp64Micro'), duckdb: select('epoch_us') }
}

/** A value of DuckDB's, which has to be a plain one. */
export function toCell(value: unknown): Cell {
  if (value === null || typeof value === 'number' || typeof value === 'string') return value
  throw new Error(`interop: DuckDB answered ${JSON.stringify(value)}, which is not a plain value`)
}

/** As text, because ClickHouse returns 64-bit integers as strings and DuckDB as numbers. */
function asText(row: readonly Cell[]): string {
  return JSON.stringify(row.map((cell) => (cell === null ? null : String(cell))))
}
