// Rows for analytics in the object's own SQLite, kept column by column. A batch is one transaction, or part of the open
// one, in which the rows and an event for each partition commit together. Rows are only added, never changed.

import * as z from 'zod'
import type { AttachedStore, SnapshotPage, StoreContext, StoreSQL } from '../../store.ts'
import type { Transaction } from '../../transaction/transaction.ts'
import { CDCError } from '../../error.ts'
import type { Attribution, EventInput } from '../../event/unified-event.ts'
import { type Batch, encodeBatch, readBatch } from './batch.ts'
import { batchText, cutSlices, groupSlices, keyOf, parseKey, type Slice, SLICE_LENGTH_MAX } from './chunk.ts'
import { ChunkTable, createChunkTable, widenChunkTable } from './chunk-table.ts'
import type { Columns } from './column.ts'
import { partitionRows } from './partition.ts'
import type {
  At,
  ColumnarAggregation,
  ColumnarBounds,
  ColumnarGrouping,
  ColumnarInsertResult,
  ColumnarMeta,
  ColumnarMetric,
  ColumnarMetrics,
  ColumnarPage,
  ColumnarPartition,
  ColumnarQuery,
  ColumnarRow,
  ColumnarSelection,
  ColumnName,
  ColumnPath,
  ColumnStats,
  RangePredicate,
} from './query.ts'
import type { Source } from './scan.ts'
import { checkStoreName, invalid } from '../checks.ts'
import { addColumns, type ColumnarSchema, isZod, parseColumns, stringifyColumns, typesOfSchema } from './schema.ts'
import {
  aggregateRows,
  countRows,
  decodeRow,
  findPartitions,
  type Reading,
  selectPartitions,
  selectRows,
  summarizeColumn,
} from './statements.ts'

/** UTF-16 units of JSON that `readRows` reads at once, or one chunk. */
const SNAPSHOT_LENGTH_MAX = 2_000_000

export interface ColumnarOptions<T extends object> {
  /**
   * What decides which partition a row belongs to: a column, or a function of the row. A partition's id is the column's
   * value as text, and of a timestamp the day: `2026-11-22`. Default: all rows are in the partition `all`.
   */
  partitionBy?: ColumnName<T> | ((row: T) => string)
  /** The columns. Default: those that the rows bring, each of the type of its first value. */
  schema?: ColumnarSchema<T>
}

/** A batch as columns: the values of a row stand at the same place in each. */
export type ColumnarBatch<T> = { readonly [Name in keyof T]: readonly T[Name][] }

/**
 * @example
 * flights = new ColumnarStore<Flight>(this.ctx, 'flights', { partitionBy: 'origin' })
 * flights.insertBatch([{ origin: 'ORD', delay: 12 }, { origin: 'LAX', delay: 0 }])
 * flights.aggregate({ where: { delay: { $gt: 10 } }, groupBy: 'origin', metrics: ['count', 'avg:delay'] })
 */
export class ColumnarStore<T extends object = Record<string, unknown>> implements AttachedStore {
  readonly name: string
  readonly #ctx: StoreContext
  readonly #sql: StoreSQL
  readonly #table: string
  readonly #chunks: ChunkTable
  readonly #options: ColumnarOptions<T>
  /** Checks rows, where zod knows what they must be. */
  readonly #rowsSchema: z.ZodType | undefined
  /** The columns as they were last read, and the text that they were read from. */
  #known: { readonly text: string; readonly columns: Columns } = { text: '[]', columns: new Map() }

  /**
   * @param table what the rows are, and the `table` of their events: letters, digits and `_`.
   * @throws {CDCError} `invalid-argument` for another name.
   */
  constructor(ctx: StoreContext, table: string, options: ColumnarOptions<T> = {}) {
    checkStoreName('ColumnarStore', 'table', table)
    this.#ctx = ctx
    this.#table = table
    this.#options = options
    const { schema } = options
    // Strict, because zod would take out what it does not know, without a word.
    this.#rowsSchema = schema && isZod(schema) ? z.array(schema.strict()) : undefined
    this.name = `columnar/${table}`
    this.#sql = ctx.attach(this)
    this.#chunks = new ChunkTable(this.#sql, this.#chunkTable)
  }

  createTables(sql: SqlStorage): void {
    createChunkTable(sql, this.#chunkTable)
    // One row, so that columns that are new cost one written row however many they are.
    sql.exec(
      `CREATE TABLE IF NOT EXISTS ${this.#columnsTable} (id INTEGER PRIMARY KEY CHECK (id = 1), columns TEXT NOT NULL)`,
    )
    const { schema } = this.#options
    if (schema === undefined) return
    const known = this.#readColumns(sql)
    this.#addColumns(sql, known, addColumns(known, typesOfSchema(schema), `ColumnarStore ${this.#table}`))
  }

  /** Each chunk is an event of the same form as that of a batch: rows of one partition, from a number on. */
  readRows(after: string | undefined, maxRows: number): SnapshotPage {
    const { columns } = this.#source('readRows')
    const { chunks, isLast } = this.#chunks.readPage(after === undefined ? undefined : parseKey(after), columns, {
      maxRows,
      maxLength: SNAPSHOT_LENGTH_MAX,
    })
    const events = chunks.map((chunk): EventInput => ({
      op: 'r',
      store: 'columnar',
      table: this.#table,
      key: keyOf(chunk.partition, chunk.first),
      after: JSON.parse(batchText(chunk, chunk.texts)) as Record<string, unknown>,
    }))
    return { events, next: isLast ? undefined : events.at(-1)?.key }
  }

  /**
   * Adds rows, all or none of them. A value that is left out is null. Each partition costs one written row for a batch
   * of up to 512 rows, another one for every 512 more; the events of the batch cost one.
   *
   * @throws {CDCError} `invalid-argument` for more than `COLUMNAR_BATCH_ROWS_MAX` rows, for a value that is not of its
   *   column's type or would not come back as it is, and for a row of more than 200,000 characters of JSON.
   */
  insertBatch(batch: readonly T[] | ColumnarBatch<T>, attribution?: Attribution): ColumnarInsertResult {
    return this.#ctx.transactionSync((tx) => {
      const { columns: known, isClosed, method } = this.#source('insertBatch')
      const given = this.#checkRows(readBatch(batch, method), method)
      const { columns, encoded } = encodeBatch(given, known, { isClosed, method })
      this.#addColumns(this.#sql, known, columns)
      const partitions = partitionRows(given, encoded, this.#options.partitionBy, method)
      const lastChunks = this.#chunks.readLast(partitions.keys())
      const ids: string[] = []
      for (const [partition, indexes] of partitions) {
        const slices = cutSlices(encoded, indexes)
        if (typeof slices === 'number') throw tooLarge(slices, method)
        const start = this.#chunks.write(columns, partition, lastChunks.get(partition), slices)
        this.#emit(tx, partition, start, slices)
        let number = start
        for (const index of indexes) ids[index] = keyOf(partition, number++)
      }
      return { success: true, count: given.count, ids }
    }, attribution)
  }

  /**
   * Finds rows, in pages. `{ columns: ['delay'], where: { origin: 'ORD', delay: { $gt: 10 } }, orderBy: 'delay' }`.
   * Reads the columns that it needs, in the chunks that can have such rows.
   *
   * @throws {CDCError} `invalid-argument` for a limit beyond `COLUMNAR_ROWS_PER_PAGE_MAX`, or a value of another type
   *   than the column that it is compared with.
   */
  query<Path extends ColumnPath<T> = ColumnName<T>>(query: ColumnarQuery<T, Path> = {}): ColumnarRow<T, Path>[] {
    const reading = selectRows(this.#source('query'), query)
    const rows = [...this.#sql.exec(reading.sql, ...reading.params).raw()]
    return rows.map((cells) => decodeRow(reading, cells.map(parseCell)) as ColumnarRow<T, Path>)
  }

  /** How many rows there are. Without `where`, this reads no values. @throws {CDCError} like `query`. */
  count(selection: ColumnarSelection<T> = {}): number {
    const [counted] = this.#read<{ count: number }>(countRows(this.#source('count'), selection))
    return counted?.count ?? 0
  }

  /**
   * Sums up rows: all of them at once, or in groups, in pages of at most `COLUMNAR_ROWS_PER_PAGE_MAX` groups. The sum of
   * nothing is 0; its average, least and greatest value are null.
   *
   * @throws {CDCError} like `query`.
   */
  aggregate<M extends ColumnarMetric<T>, Path extends ColumnPath<T>>(
    aggregation: ColumnarAggregation<T, M> & ColumnarGrouping<T, Path>,
  ): (ColumnarRow<T, Path> & ColumnarMetrics<T, M>)[]
  aggregate<M extends ColumnarMetric<T>>(aggregation: ColumnarAggregation<T, M>): ColumnarMetrics<T, M>
  aggregate(
    aggregation: ColumnarAggregation<T, ColumnarMetric<T>> & Partial<ColumnarGrouping<T, ColumnPath<T>>>,
  ): unknown {
    const reading = aggregateRows(this.#source('aggregate'), aggregation)
    return aggregation.groupBy === undefined ? this.#readOne(reading) : this.#read(reading)
  }

  /** What is known of a column, in all rows or those of a partition. Reads the whole column. */
  getColumnStats<Path extends ColumnPath<T>>(
    column: Path,
    { partition }: { partition?: string } = {},
  ): ColumnStats<NonNullable<At<T, Path>>> {
    const reading = summarizeColumn(this.#source('getColumnStats'), column, partition)
    return this.#readOne(reading) as ColumnStats<NonNullable<At<T, Path>>>
  }

  /** The partitions, in the order of their ids. Reads no values. */
  listPartitions(page: ColumnarPage = {}): ColumnarPartition[] {
    return this.#read(selectPartitions(this.#source('listPartitions'), page))
  }

  /**
   * The partitions in which a column can have such a value, with its bounds there. Reads no values: a partition that is
   * left out has none, and one that is found may have none.
   */
  findPartitions<Path extends ColumnPath<T>>(
    column: Path,
    { op, value }: RangePredicate<NonNullable<At<T, Path>>>,
    page: ColumnarPage = {},
  ): (ColumnarPartition & ColumnarBounds<NonNullable<At<T, Path>>>)[] {
    return this.#read(findPartitions(this.#source('findPartitions'), { path: column, op, value }, page))
  }

  /** The values of the column `type`. */
  listTypes(page: ColumnarPage = {}): string[] {
    const reading = aggregateRows(this.#source('listTypes'), { ...page, groupBy: 'type', metrics: [] })
    return this.#read<{ type: unknown }>(reading).flatMap(({ type }) => (typeof type === 'string' ? [type] : []))
  }

  /** How much there is, and the type of each column. Reads no values. */
  getMeta(): ColumnarMeta {
    const { columns } = this.#source('getMeta')
    return {
      ...this.#sql
        .exec<{ count: number; partitions: number; chunks: number }>(
          `SELECT coalesce(sum(count), 0) AS count, count(DISTINCT partition) AS partitions, count(*) AS chunks
           FROM ${this.#chunkTable}`,
        )
        .one(),
      columns: Object.fromEntries([...columns.values()].map(({ name, type }) => [name, type])),
    }
  }

  get #chunkTable(): string {
    return `"columnar_${this.#table}"`
  }

  get #columnsTable(): string {
    return `"columns_${this.#table}"`
  }

  /** One event for the rows of a partition, or several where they are too many for one. */
  #emit(tx: Transaction, partition: string, start: number, slices: readonly Slice[]): void {
    let first = start
    for (const { count, texts } of groupSlices(slices)) {
      const after = batchText({ partition, first, count }, texts)
      tx.emitChange({ op: 'c', store: 'columnar', table: this.#table, key: keyOf(partition, first), after })
      first += count
    }
  }

  /** The rows as a zod schema gives them back; any others as they are. */
  #checkRows(batch: Batch, method: string): Batch {
    if (this.#rowsSchema === undefined) return batch
    const rows = Array.from({ length: batch.count }, (_, index) => batch.rowAt(index))
    const parsed = this.#rowsSchema.safeParse(rows)
    if (parsed.success) return readBatch(parsed.data, method)
    const [issue] = parsed.error.issues
    const [row, ...path] = issue?.path ?? []
    throw invalid(method, `row ${Number(row) + 1}: ${[path.join('.'), issue?.message].filter(Boolean).join(': ')}`)
  }

  /** Where to read from. */
  #source(name: string): Source {
    return {
      table: this.#chunkTable,
      columns: this.#readColumns(this.#sql),
      isClosed: this.#options.schema !== undefined,
      method: `${this.#table}.${name}`,
    }
  }

  /** Always read, because a rollback or `deleteAll` may have taken columns away. */
  #readColumns(sql: StoreSQL): Columns {
    const [row] = sql.exec<{ columns: string }>(`SELECT columns FROM ${this.#columnsTable}`).toArray()
    const text = row?.columns ?? '[]'
    if (text !== this.#known.text) this.#known = { text, columns: parseColumns(text) }
    return this.#known.columns
  }

  #addColumns(sql: StoreSQL, known: Columns, columns: Columns): void {
    if (columns.size === known.size) return
    widenChunkTable(sql, this.#chunkTable, [...columns.values()].slice(known.size))
    sql.exec(`INSERT OR REPLACE INTO ${this.#columnsTable} (id, columns) VALUES (1, ?)`, stringifyColumns(columns))
  }

  /** The rows of a statement that reads; it names its fields as the caller's type does. */
  #read<Row extends object>(reading: Reading): Row[] {
    const rows = this.#sql.exec(reading.sql, ...reading.params).raw()
    return [...rows].map((values) => decodeRow(reading, values) as Row)
  }

  #readOne(reading: Reading): object {
    return this.#read(reading)[0] ?? {}
  }
}

function tooLarge(index: number, method: string): CDCError {
  return invalid(
    method,
    `row ${index + 1} is above ${SLICE_LENGTH_MAX} characters as JSON; put what is large in R2 and insert its key`,
  )
}

function parseCell(json: SqlStorageValue): unknown {
  return typeof json === 'string' ? JSON.parse(json) : json
}
