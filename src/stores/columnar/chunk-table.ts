// The table of a store's chunks, and the statements that write and read whole chunks.

import type { StoreSQL } from '../../store.ts'
import {
  type AllStatistics,
  type ChunkHead,
  fitsInto,
  hasValues,
  mergeStatistics,
  nullsText,
  type Slice,
} from './chunk.ts'
import type { Column, Columns } from './column.ts'

type ChunkRow = {
  partition: string
  first: number
  count: number
  length: number
  statistics: string
  /** The values of each column: JSON with commas but without brackets, so that more can be appended. */
  [id: string]: SqlStorageValue
}

/** A chunk's place and all its values. */
export interface WholeChunk extends Pick<ChunkHead, 'first' | 'count' | 'length'> {
  readonly partition: string
  readonly texts: ReadonlyMap<Column, string>
}

/** WITHOUT ROWID, because an index on the key would be a second billed row for each chunk. */
export function createChunkTable(sql: StoreSQL, name: string): void {
  sql.exec(
    `CREATE TABLE IF NOT EXISTS ${name} (
       partition TEXT, first INTEGER, count INTEGER NOT NULL, length INTEGER NOT NULL, statistics TEXT NOT NULL,
       PRIMARY KEY (partition, first)
     ) WITHOUT ROWID`,
  )
}

/** Adds columns to the table. Only when they are needed, because an update writes all columns of a row. */
export function widenChunkTable(sql: StoreSQL, name: string, columns: Iterable<Column>): void {
  for (const { id } of columns) sql.exec(`ALTER TABLE ${name} ADD COLUMN ${id} TEXT`)
}

export class ChunkTable {
  readonly #sql: StoreSQL
  readonly #name: string

  constructor(sql: StoreSQL, name: string) {
    this.#sql = sql
    this.#name = name
  }

  /** The last chunk of each of these partitions, if it has any. */
  readLast(partitions: Iterable<string>): Map<string, ChunkHead> {
    const rows = this.#sql.exec<ChunkRow>(
      `SELECT partition, first, count, length, statistics FROM json_each(?) AS given JOIN ${this.#name}
       ON partition = given.value AND first = (SELECT max(first) FROM ${this.#name} WHERE partition = given.value)`,
      JSON.stringify([...partitions]),
    )
    const heads = new Map<string, ChunkHead>()
    for (const { partition, first, count, length, statistics } of rows)
      heads.set(partition, { first, count, length, statistics: JSON.parse(statistics) as AllStatistics })
    return heads
  }

  /**
   * Writes consecutive slices at the end of a partition: each becomes a row of SQLite, except the first one if the last chunk
   * has room for it.
   *
   * @returns the number of their first row in the partition.
   */
  write(columns: Columns, partition: string, last: ChunkHead | undefined, slices: readonly Slice[]): number {
    const start = last === undefined ? 0 : last.first + last.count
    let first = start
    for (const slice of slices) {
      if (first === start && last !== undefined && fitsInto(last, slice)) this.#append(columns, partition, last, slice)
      else this.#insert(partition, first, slice)
      first += slice.count
    }
    return start
  }

  /** Chunks in the order of their keys, after one or from the first one on, until they are too many or too long. */
  readPage(
    after: { partition: string; first: number } | undefined,
    columns: Columns,
    { maxRows, maxLength }: { maxRows: number; maxLength: number },
  ): { chunks: WholeChunk[]; isLast: boolean } {
    const all = [...columns.values()]
    const rows = this.#sql.exec<ChunkRow>(
      `SELECT ${['partition', 'first', 'count', 'length', ...all.map(({ id }) => id)].join(', ')} FROM ${this.#name}
       WHERE (partition, first) > (?, ?) ORDER BY partition, first`,
      after?.partition ?? '',
      after?.first ?? -1,
    )
    const chunks: WholeChunk[] = []
    let length = 0
    for (const row of rows) {
      length += row.length
      if (chunks.length > 0 && (chunks.length === maxRows || length > maxLength)) return { chunks, isLast: false }
      const texts = new Map<Column, string>()
      for (const column of all) {
        const text = row[column.id]
        if (typeof text === 'string') texts.set(column, text)
      }
      chunks.push({ partition: row.partition, first: row.first, count: row.count, length: row.length, texts })
    }
    return { chunks, isLast: true }
  }

  #insert(partition: string, first: number, { count, length, statistics, texts }: Slice): void {
    const ids = [...texts.keys()].map(({ id }) => id)
    const names = ['partition', 'first', 'count', 'length', 'statistics', ...ids]
    this.#sql.exec(
      `INSERT INTO ${this.#name} (${names.join(', ')}) VALUES (${names.map(() => '?').join(', ')})`,
      partition,
      first,
      count,
      length,
      JSON.stringify(statistics),
      ...texts.values(),
    )
  }

  #append(columns: Columns, partition: string, chunk: ChunkHead, slice: Slice): void {
    const assignments: string[] = []
    const added: string[] = []
    for (const column of columns.values()) {
      const isSet = hasValues(chunk, column)
      if (!isSet && !slice.texts.has(column)) continue
      const text = slice.texts.get(column) ?? nullsText(slice.count)
      assignments.push(isSet ? `${column.id} = ${column.id} || ?` : `${column.id} = ?`)
      added.push(isSet ? `,${text}` : `${nullsText(chunk.count)},${text}`)
    }
    this.#sql.exec(
      `UPDATE ${this.#name} SET ${['count = ?', 'length = ?', 'statistics = ?', ...assignments].join(', ')}
       WHERE partition = ? AND first = ?`,
      chunk.count + slice.count,
      added.reduce((length, text) => length + text.length, chunk.length),
      JSON.stringify(mergeStatistics(chunk, slice)),
      ...added,
      partition,
      chunk.first,
    )
  }
}
