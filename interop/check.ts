// What ClickHouse has to answer about the table, and who says so: DuckDB, the table's own metadata, or the load.

import type { TableDescription } from './lake.ts'

export type Cell = string | number | null
export type Rows = readonly (readonly Cell[])[]

/** A statement over `events` for ClickHouse, and the rows that it has to give. */
export interface Check {
  readonly name: string
  readonly statement: string
  /** Where the expected rows come from. */
  readonly by: string
  readonly expected: Rows
}

/** A question that both engines are asked. Only where their SQL differs is there a second text. */
interface Question {
  readonly name: string
  readonly sql: string
  readonly duckdb?: string
}

const COUNTED = 'SELECT count(*), count(DISTINCT id), sum(lsn), count(*) - count("before"), count(*) - count("after")'

const questions: readonly Question[] = [
  { name: 'rows, distinct ids, sum of lsn, nulls of before and after', sql: `${COUNTED} FROM events` },
  {
    name: 'partitions',
    sql: 'SELECT type, CAST("timestamp" AS DATE) AS day, count(*) FROM events GROUP BY type, day ORDER BY type, day',
  },
  {
    name: 'lsn per source and epoch',
    sql: 'SELECT source, epoch, min(lsn), max(lsn), count(*) FROM events GROUP BY source, epoch ORDER BY source, epoch',
  },
  // Conditions on a partition and on bounded columns: wrong bounds in a manifest would make files vanish here.
  { name: 'a type alone', sql: `${COUNTED} FROM events WHERE type = 'Film.rated'` },
  { name: 'a range of lsn', sql: `${COUNTED} FROM events WHERE lsn BETWEEN 100 AND 200` },
  { name: 'a key', sql: `${COUNTED} FROM events WHERE "key" = 'film-14'` },
  {
    name: 'the first day',
    sql: `${COUNTED} FROM events WHERE CAST("timestamp" AS DATE) = (SELECT min(CAST("timestamp" AS DATE)) FROM events)`,
  },
]

const CLICKHOUSE_TYPES: Readonly<Record<string, string>> = {
  VARCHAR: 'String',
  BIGINT: 'Int64',
  'TIMESTAMP WITH TIME ZONE': "DateTime64(6, 'UTC')",
}

/** Asks DuckDB, and the metadata, for what ClickHouse has to answer. */
export async function createChecks(
  table: TableDescription,
  committedEvents: number,
  askDuckDB: (sql: string) => Promise<Rows>,
): Promise<Check[]> {
  const checks = [
    count('rows against commits', 'the load', committedEvents),
    columnTypes(await askDuckDB('SELECT column_name, column_type FROM (DESCRIBE events)'), table.columns),
  ]
  for (const { name, sql, duckdb } of [...questions, everyValue(table.columns)])
    checks.push({ name, statement: sql, by: 'DuckDB', expected: await askDuckDB(duckdb ?? sql) })
  return [...checks, ...table.snapshots.map(snapshotCheck)]
}

/** The difference between an answer and what was expected, or nothing where there is none. */
export function difference({ expected, by }: Check, answer: Rows | string): string | undefined {
  if (typeof answer === 'string') return `ClickHouse fails: ${answer}`
  const [got, wanted] = [answer.map(asText), expected.map(asText)]
  // Two engines that both see an empty table agree about nothing.
  if (wanted.length === 0) return `${by} has no rows to compare with`
  const at = Array.from({ length: Math.max(got.length, wanted.length) }).findIndex((_, row) => got[row] !== wanted[row])
  if (at === -1) return undefined
  const sizes = got.length === wanted.length ? '' : `${got.length} rows instead of ${wanted.length}; `
  return `${sizes}row ${at}: ClickHouse ${got[at] ?? 'has none'}; ${by} ${wanted[at] ?? 'has none'}`
}

function count(name: string, by: string, expected: number | string): Check {
  return { name, statement: 'SELECT count(*) FROM events', by, expected: [[expected]] }
}

function snapshotCheck({ id, records }: TableDescription['snapshots'][number]): Check {
  const check = count(`rows of snapshot ${id}`, 'the metadata', records)
  return { ...check, statement: `${check.statement} SETTINGS iceberg_snapshot_id = ${id}` }
}

/** The types as DuckDB has them, and from the metadata, since DuckDB does not tell, which columns have no nulls. */
function columnTypes(duckdb: Rows, columns: TableDescription['columns']): Check {
  const required = new Set(columns.filter((column) => column.required).map(({ name }) => name))
  return {
    name: 'column types',
    statement: 'DESCRIBE TABLE events SETTINGS describe_compact_output = 1',
    by: 'DuckDB and the metadata',
    expected: duckdb.map(([name = null, duckdbType]) => {
      const type = CLICKHOUSE_TYPES[String(duckdbType)] ?? `the type of ${duckdbType}`
      return [name, required.has(String(name)) ? type : `Nullable(${type})`]
    }),
  }
}

/** Every value of every row, the time in microseconds, which the engines' functions name differently. */
function everyValue(columns: TableDescription['columns']): Question {
  const select = (micros: string) => {
    const cells = columns.map(({ name, type }) => (type === 'timestamptz' ? `${micros}("${name}")` : `"${name}"`))
    return `SELECT ${cells.join(', ')} FROM events ORDER BY source, epoch, lsn`
  }
  return { name: 'every value', sql: select('toUnixTimestamp64Micro'), duckdb: select('epoch_us') }
}

/** As text, since ClickHouse gives 64-bit integers as strings and DuckDB as numbers. */
function asText(row: readonly Cell[]): string {
  return JSON.stringify(row.map((cell) => (cell === null ? null : String(cell))))
}
