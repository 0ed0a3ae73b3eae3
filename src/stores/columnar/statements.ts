// The statements that read: from a query to SQL, and from the rows of SQLite to values.

import { checkPage, describe, invalid } from '../checks.ts'
import { type ColumnType, decode } from './column.ts'
import { limits } from './limits.ts'
import type { ColumnarPage } from './query.ts'
import { Scan, type Selection, type Source } from './scan.ts'

const DEFAULT_PAGE_ROWS = 100

/** A statement, and the name and type of each value of its rows. */
export interface Reading {
  readonly sql: string
  readonly params: readonly string[]
  readonly fields: readonly Field[]
}

interface Field {
  readonly name: string
  /** Nothing for a value inside JSON, which can have any type. */
  readonly type: ColumnType | undefined
}

interface Query extends Selection, ColumnarPage {
  readonly columns?: readonly string[]
  readonly orderBy?: string
  readonly order?: 'asc' | 'desc'
}

interface Aggregation extends Selection, ColumnarPage {
  readonly metrics: readonly string[]
  readonly groupBy?: string | readonly string[]
}

/** The rows of a selection: each value as JSON, and then the number of the row. */
export function selectRows(source: Source, query: Query): Reading {
  const { columns = [...source.columns.keys()], orderBy, order = 'asc' } = query
  const scan = new Scan(source, query)
  const page = pageClause(query, DEFAULT_PAGE_ROWS, source.caller)
  if (order !== 'asc' && order !== 'desc')
    throw invalid(source.caller, `order must be asc or desc, not ${describe(order)}`)
  const ordering = orderBy === undefined ? '' : `ORDER BY ${scan.scalarOf(orderBy)} ${order}, chunk.partition, row`
  const values = columns.map((path) => scan.jsonOf(path))
  return {
    sql: `SELECT ${[...values, 'chunk.first + cell.key AS row'].join(', ')} ${scan.from()} ${ordering} ${page}`,
    params: scan.params,
    fields: columns.map((name) => ({ name, type: scan.typeOf(name) })),
  }
}

/** How many rows a selection has. Without conditions, the heads of the chunks tell. */
export function countRows(source: Source, selection: Selection): Reading {
  const scan = new Scan(source, selection)
  const sql = scan.isWhole ? `SELECT coalesce(sum(count), 0) ${scan.fromHeads()}` : `SELECT count(*) ${scan.from()}`
  return { sql, params: scan.params, fields: [{ name: 'count', type: 'integer' }] }
}

/** One row for each group, or just one. */
export function aggregateRows(source: Source, aggregation: Aggregation): Reading {
  const { metrics, groupBy } = aggregation
  const scan = new Scan(source, aggregation)
  const groups = groupBy === undefined ? [] : [groupBy].flat()
  const parsed = metrics.map((metric) => parseMetric(metric, source.caller))
  const paths = [...new Set([...groups, ...parsed.flatMap(({ path }) => path ?? [])])]
  const inner = paths.map((path, index) => `${scan.scalarOf(path)} AS v${index}`)
  const outer = parsed.map(({ operation, path }) => {
    if (path === undefined) return 'count(*)'
    const value = `v${paths.indexOf(path)}`
    if (operation === 'min' || operation === 'max') return `${operation}(${value})`
    const type = scan.typeOf(path)
    if (type !== undefined && type !== 'number' && type !== 'integer')
      throw invalid(
        source.caller,
        `${operation}:${path}: values of type ${type} have no ${operation}; use a column of numbers`,
      )
    const number = type === undefined ? `CASE WHEN typeof(${value}) <> 'text' THEN ${value} END` : value
    // total, because sum fails if whole numbers grow beyond 64 bits.
    return operation === 'sum' ? `total(${number})` : `avg(${number})`
  })
  const keys = groups.map((path) => `v${paths.indexOf(path)}`)
  // LIMIT -1 keeps SQLite from merging the two SELECTs: it would then sort whole columns instead of their values.
  const rows = `SELECT ${inner.join(', ') || '1'} ${scan.from()} LIMIT -1`
  const grouping =
    keys.length === 0
      ? ''
      : `GROUP BY ${keys.join(', ')} ORDER BY ${keys.join(', ')} ${pageClause(aggregation, limits.pageRows, source.caller)}`
  return {
    sql: `SELECT ${[...keys, ...outer].join(', ')} FROM (${rows}) ${grouping}`,
    params: scan.params,
    fields: [
      ...groups.map((name) => ({ name, type: scan.typeOf(name) })),
      ...parsed.map(({ name, operation, path }) => ({
        name,
        type: path === undefined || operation === 'sum' || operation === 'avg' ? undefined : scan.typeOf(path),
      })),
    ],
  }
}

/** Statistics of one column, read value by value. */
export function summarizeColumn(source: Source, path: string, partition: string | undefined): Reading {
  const scan = new Scan(source, { partition })
  const value = scan.valueOf(path)
  const type = scan.typeOf(path)
  const bounds = type === 'json' ? ['NULL', 'NULL'] : ['min(v)', 'max(v)']
  return {
    sql: `SELECT count(*), count(*) - count(v), ${bounds.join(', ')}, count(DISTINCT v) FROM (SELECT ${value} AS v ${scan.from()} LIMIT -1)`,
    params: scan.params,
    fields: [
      { name: 'count', type: 'integer' },
      { name: 'nullCount', type: 'integer' },
      { name: 'min', type },
      { name: 'max', type },
      { name: 'cardinality', type: 'integer' },
    ],
  }
}

/** The partitions, read from the heads of the chunks. */
export function selectPartitions(source: Source, page: ColumnarPage): Reading {
  return {
    sql: `SELECT partition, sum(count), count(*) FROM ${source.table} GROUP BY partition ORDER BY partition
      ${pageClause(page, limits.pageRows, source.caller)}`,
    params: [],
    fields: PARTITION_FIELDS,
  }
}

/** The partitions in which a comparison can succeed, with the bounds of the column there. */
export function findPartitions(source: Source, { path, op, value }: PathComparison, page: ColumnarPage): Reading {
  const operator = OPERATORS.get(op)
  if (operator === undefined)
    throw invalid(source.caller, `op must be one of ${[...OPERATORS.keys()].join(' ')}, not ${describe(op)}`)
  const scan = new Scan(source, {})
  const type = scan.typeOf(path)
  return {
    sql: `SELECT partition, sum(count), count(*), ${scan.boundsOf(path).join(', ')} FROM ${source.table}
      GROUP BY partition HAVING max(${scan.chunkTestOf(path, operator, value)}) ORDER BY partition
      ${pageClause(page, limits.pageRows, source.caller)}`,
    params: scan.params,
    fields: [...PARTITION_FIELDS, { name: 'min', type }, { name: 'max', type }],
  }
}

const PARTITION_FIELDS: readonly Field[] = [
  { name: 'id', type: 'string' },
  { name: 'count', type: 'integer' },
  { name: 'chunks', type: 'integer' },
]

interface PathComparison {
  readonly path: string
  readonly op: string
  readonly value: unknown
}

const OPERATORS: ReadonlyMap<string, string> = new Map([
  ['=', '$eq'],
  ['>', '$gt'],
  ['>=', '$gte'],
  ['<', '$lt'],
  ['<=', '$lte'],
])

/** A row of a statement, by the names of its fields. */
export function decodeRow({ fields }: Reading, values: readonly unknown[]): Record<string, unknown> {
  const row: Record<string, unknown> = {}
  for (const [index, { name, type }] of fields.entries())
    row[name] = type === undefined ? values[index] : decode(type, values[index])
  return row
}

function pageClause({ limit, offset = 0 }: ColumnarPage, defaultLimit: number, caller: string): string {
  const rows = limit ?? defaultLimit
  checkPage({ limit: rows, offset }, limits.pageRows, caller)
  return `LIMIT ${rows} OFFSET ${offset}`
}

function parseMetric(metric: string, caller: string): { name: string; operation: string; path?: string } {
  if (metric === 'count') return { name: metric, operation: metric }
  const [, operation, path] = /^(sum|avg|min|max):(.+)$/s.exec(metric) ?? []
  if (operation === undefined || path === undefined)
    throw invalid(
      caller,
      `metrics are count, sum:column, avg:column, min:column and max:column; not ${describe(metric)}`,
    )
  return { name: metric, operation, path }
}
