// Rows for analytics in the object's own SQLite, stored column by column. A batch is one transaction, or part of the open one,
// in which the rows and an event for each partition commit together. Rows are only added, never changed.

import type { CDCError } from '../../error.ts'
import type { Attribution, EventInput } from '../../event/unified-event.ts'
import type { AttachedStore, SnapshotPage, StoreContext, StoreSQL } from '../../store.ts'
import type { Transaction } from '../../transaction/transaction.ts'
import { checkStoreName, invalid } from '../checks.ts'
import { type Batch, encodeBatch, readBatch } from './batch.ts'
import { ChunkTable, createChunkTable, widenChunkTable } from './chunk-table.ts'
import { batchText, cutSlices, groupSlices, keyOf, parseKey, type Slice } from './chunk.ts'
import type { Columns } from './column.ts'
import { limits } from './limits.ts'
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
import {
  addColumns,
  checkRow,
  type ColumnarSchema,
  isRowSchema,
  parseColumns,
  stringifyColumns,
  typesOfSchema,
} from './schema.ts'
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

/** UTF-16 units of JSON that `readRows` reads at once, unless it is a single chunk. */
const SNAPSHOT_CHARACTERS_MAX = 2_000_000

export interface ColumnarStoreOptions<T extends object> {
  /**
   * Which partition a row belongs to: a column, or a function of the row. A partition's id is the column's value as text or,
   * for a timestamp, the day: `2026-11-22`. Default: all rows are in the partition `all`.
   */
  partitionBy?: ColumnName<T> | ((row: T) => string)
  /** The columns. Default: those that the rows bring, each with the type of its first value. */
  schema?: ColumnarSchema<T>
}

/** A batch as columns: the values of a row have the same index in each. */
export type ColumnarBatch<T> = { readonly [Name in keyof T]: readonly T[Name][] }

/**
 * @example
 * flights = new ColumnarStore<Flight>(this.ctx, 'flights', { partitionBy: 'origin' })
 * flights.insertBatch([{ origin: 'ORD', delay: 12 }, { origin: 'LAX', delay: 0 }])
 * flights.aggregate({ where: { delay: { $gt: 10 } }, groupBy: 'origin', metrics: ['count', 'avg:delay'] })
 */
export class ColumnarStore<T extends object = Record<string, unknown>> implements AttachedStore {
  /** What one call may do. Beyond a limit it throws a `CDCError`, and nothing is written. */
  static readonly limits = limits

  readonly name: string
  readonly #ctx: StoreContext
  readonly #sql: StoreSQL
  readonly #table: string
  readonly #chunks: ChunkTable
  readonly #options: ColumnarStoreOptions<T>
  /** The columns as they were last read, and the text that they were read from. */
  #known: { readonly text: string; readonly columns: Columns } = { text: '[]', columns: new Map() }

  /**
   * @param name what the rows are, and the `table` of their events: letters, digits and `_`.
   * @throws {CDCError} `invalid-argument` for a name that is not valid.
   */
  constructor(ctx: StoreContext, name: string, options: ColumnarStoreOptions<T> = {}) {
    checkStoreName('ColumnarStore', name)
    this.#ctx = ctx
    this.#table = name
    this.#options = options
    this.name = `columnar/${name}`
    this.#sql = ctx.attach(this)
    this.#chunks = new ChunkTable(this.#sql, this.#chunkTable)
  }

  createTables(sql: SqlStorage): void {
    createChunkTable(sql, this.#chunkTable)
    // One row, so that any number of new columns costs one written row.
    sql.exec(
      `CREATE TABLE IF NOT EXISTS ${this.#columnsTable} (id INTEGER PRIMARY KEY CHECK (id = 1), columns TEXT NOT NULL)`,
    )
    const { schema } = this.#options
    if (schema === undefined) return
    const known = this.#readColumns(sql)
    this.#addColumns(sql, known, addColumns(known, typesOfSchema(schema), `ColumnarStore ${this.#table}`))
  }

  /** Each chunk is an event of the same form as a batch's: rows of one partition, from a number on. */
  readRows(after: string | undefined, maxRows: number): SnapshotPage {
    const { columns } = this.#source('readRows')
    const { chunks, isLast } = this.#chunks.readPage(after === undefined ? undefined : parseKey(after), columns, {
      maxRows,
      maxLength: SNAPSHOT_CHARACTERS_MAX,
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
   * Adds rows, all or none. A value that is left out is null. Each partition costs one written row for up to 512 rows of the
   * batch, and another one for every 512 more; the events of the batch cost one.
   *
   * @throws {CDCError} `invalid-argument` for more than `limits.batchRows` rows, for a value that is not of its column's type
   *   or would not come back as it is, and for a row of more than `limits.rowCharacters` of JSON.
   */
  insertBatch(batch: readonly T[] | ColumnarBatch<T>, attribution?: Attribution): ColumnarInsertResult {
    return this.#ctx.transactionSync((tx) => {
      const { columns: known, isClosed, caller } = this.#source('insertBatch')
      const given = this.#checkRows(readBatch(batch, caller), caller)
      const { columns, encoded } = encodeBatch(given, known, { isClosed, caller })
      this.#addColumns(this.#sql, known, columns)
      const partitions = partitionRows(given, encoded, this.#options.partitionBy, caller)
      const lastChunks = this.#chunks.readLast(partitions.keys())
      const ids: string[] = []
      for (const [partition, indexes] of partitions) {
        const slices = cutSlices(encoded, indexes)
        if (typeof slices === 'number') throw tooLarge(slices, caller)
        const start = this.#chunks.write(columns, partition, lastChunks.get(partition), slices)
        this.#emit(tx, partition, start, slices)
        let number = start
        for (const index of indexes) ids[index] = keyOf(partition, number++)
      }
      return { success: true, count: given.count, ids }
    }, attribution)
  }

  /**
   * Finds rows, in pages: `{ columns: ['delay'], where: { origin: 'ORD', delay: { $gt: 10 } }, orderBy: 'delay' }`. Reads only
   * the columns that it needs, in the chunks that can have matching rows.
   *
   * @throws {CDCError} `invalid-argument` for a limit beyond `limits.pageRows`, or a value of another type than the column that
   *   it is compared with.
   */
  query<Path extends ColumnPath<T> = ColumnName<T>>(query: ColumnarQuery<T, Path> = {}): ColumnarRow<T, Path>[] {
    const reading = selectRows(this.#source('query'), query)
    const rows = [...this.#sql.exec(reading.sql, ...reading.params).raw()]
    return rows.map((cells) => decodeRow(reading, cells.map(parseCell)) as ColumnarRow<T, Path>)
  }

  /** How many rows there are. Without `where`, it reads no values. @throws {CDCError} like `query`. */
  count(selection: ColumnarSelection<T> = {}): number {
    const [counted] = this.#read<{ count: number }>(countRows(this.#source('count'), selection))
    return counted?.count ?? 0
  }

  /**
   * Aggregates rows: all together, or in groups, in pages of at most `limits.pageRows` groups. The sum of no values is 0; their
   * average, least and greatest value are null.
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

  /** Statistics of a column, in all rows or those of a partition. Reads the whole column. */
  columnStats<Path extends ColumnPath<T>>(
    column: Path,
    { partition }: { partition?: string } = {},
  ): ColumnStats<NonNullable<At<T, Path>>> {
    const reading = summarizeColumn(this.#source('columnStats'), column, partition)
    return this.#readOne(reading) as ColumnStats<NonNullable<At<T, Path>>>
  }

  /** The partitions, in the order of their ids. Reads no values. */
  partitions(page: ColumnarPage = {}): ColumnarPartition[] {
    return this.#read(selectPartitions(this.#source('partitions'), page))
  }

  /**
   * The partitions in which a column may have such a value, with the column's bounds there. Reads no values: a partition that is
   * left out has no such value, and one that is returned may have none either.
   */
  findPartitions<Path extends ColumnPath<T>>(
    column: Path,
    { op, value }: RangePredicate<NonNullable<At<T, Path>>>,
    page: ColumnarPage = {},
  ): (ColumnarPartition & ColumnarBounds<NonNullable<At<T, Path>>>)[] {
    return this.#read(findPartitions(this.#source('findPartitions'), { path: column, op, value }, page))
  }

  /** The values of the column `type`. */
  types(page: ColumnarPage = {}): string[] {
    const reading = aggregateRows(this.#source('types'), { ...page, groupBy: 'type', metrics: [] })
    return this.#read<{ type: unknown }>(reading).flatMap(({ type }) => (typeof type === 'string' ? [type] : []))
  }

  /** How much the store holds, and the type of each column. Reads no values. */
  meta(): ColumnarMeta {
    const { columns } = this.#source('meta')
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

  /** One event for the rows of a partition, or several if they are too many for one. */
  #emit(tx: Transaction, partition: string, start: number, slices: readonly Slice[]): void {
    let first = start
    for (const { count, texts } of groupSlices(slices)) {
      const after = batchText({ partition, first, count }, texts)
      tx.emitChange({ op: 'c', store: 'columnar', table: this.#table, key: keyOf(partition, first), after })
      first += count
    }
  }

  /** The rows as a schema of rows returns them; any others as they are. */
  #checkRows(batch: Batch, caller: string): Batch {
    const { schema } = this.#options
    if (schema === undefined || !isRowSchema(schema)) return batch
    const rows = Array.from({ length: batch.count }, (_, index) =>
      checkRow(batch.rowAt(index), schema, `${caller}: row ${index + 1}`),
    )
    return readBatch(rows, caller)
  }

  /** What a statement reads from. */
  #source(method: string): Source {
    return {
      table: this.#chunkTable,
      columns: this.#readColumns(this.#sql),
      isClosed: this.#options.schema !== undefined,
      caller: `${this.#table}.${method}`,
    }
  }

  /** Always read, because a rollback or `deleteAll` may have removed columns. */
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

  /** The rows of a statement. The names of its fields are those of the type. */
  #read<Row extends object>(reading: Reading): Row[] {
    const rows = this.#sql.exec(reading.sql, ...reading.params).raw()
    return [...rows].map((values) => decodeRow(reading, values) as Row)
  }

  #readOne(reading: Reading): object {
    return this.#read(reading)[0] ?? {}
  }
}

function tooLarge(index: number, caller: string): CDCError {
  return invalid(
    caller,
    `row ${index + 1} has more than ${limits.rowCharacters} characters of JSON; put large values into R2 and insert their keys`,
  )
}

function parseCell(json: SqlStorageValue): unknown {
  return typeof json === 'string' ? JSON.parse(json) : json
}
