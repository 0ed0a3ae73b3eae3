// A cursor of `sql.exec`. The rows are read already, because nothing that is simulated changes a table while it reads it.

import type { Outcome } from './database.ts'

type RowObject = Record<string, SqlStorageValue>

export class Cursor {
  readonly columnNames: string[]
  readonly rowsWritten: number
  readonly rowsRead: number
  readonly #rows: readonly SqlStorageValue[][]
  readonly #onEnd: () => void
  #at = 0

  /** @param onEnd called once the last row is read. */
  constructor({ names, rows, rowsWritten }: Outcome, onEnd: () => void) {
    this.columnNames = [...names]
    this.rowsWritten = rowsWritten
    this.rowsRead = rows.length
    this.#rows = rows
    this.#onEnd = onEnd
    if (rows.length === 0) onEnd()
  }

  next(): { done: true } | { done: false; value: RowObject } {
    const row = this.#nextRow()
    return row === undefined ? { done: true } : { done: false, value: this.#objectOf(row) }
  }

  toArray(): RowObject[] {
    return Array.from(this.#rest(), (row) => this.#objectOf(row))
  }

  one(): RowObject {
    const rows = this.toArray()
    const [row] = rows
    if (row === undefined || rows.length > 1)
      throw new Error(
        `Expected exactly one result from SQL query, but got ${rows.length === 0 ? 'no' : 'multiple'} results.`,
      )
    return row
  }

  raw(): IterableIterator<SqlStorageValue[]> & { toArray(): SqlStorageValue[][] } {
    const rest = this.#rest()
    return Object.assign(rest, { toArray: () => Array.from(rest) })
  }

  *[Symbol.iterator](): IterableIterator<RowObject> {
    for (const row of this.#rest()) yield this.#objectOf(row)
  }

  *#rest(): Generator<SqlStorageValue[]> {
    for (let row = this.#nextRow(); row !== undefined; row = this.#nextRow()) yield row
  }

  #nextRow(): SqlStorageValue[] | undefined {
    const row = this.#rows[this.#at++]
    if (this.#at >= this.#rows.length) this.#onEnd()
    return row
  }

  #objectOf(row: readonly SqlStorageValue[]): RowObject {
    const object: RowObject = {}
    for (const [index, name] of this.columnNames.entries()) object[name] = row[index] ?? null
    return object
  }
}
