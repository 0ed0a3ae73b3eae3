// Embeddings in memory, so that a search need not read them all from SQLite: that takes several times as long as the search.
// They are always those of the table as it is now, inside a transaction and after a rollback too.
//
// Every change that the store makes is told here, and what has changed is read again before the next search. A change that
// is undone is told to nobody. But SQLite undoes all that was done since some point, or nothing. So a search that reads
// changes leaves a mark in SQLite behind them: a new value of one row, which costs a row written. While the mark stands, none
// of them was undone; and whatever undoes one of them undoes the mark, so that the next search reads everything anew.

import { Block, rowsPerBlock } from './block.ts'
import type { VectorRows } from './vector-rows.ts'

/** Changes since the last search, at most; after more of them everything is read anew. */
const CHANGES_MAX = 500

interface Kept {
  readonly blocks: Block[]
  /** What the table's mark was when they had been read. */
  mark: string
}

export class KeptEmbeddings {
  readonly #rows: VectorRows
  readonly #dimension: number
  readonly #maxBytes: number
  #kept: Kept | undefined
  /** Ids whose rows may have changed since the kept embeddings were read. */
  readonly #changed = new Set<string>()
  /** Whether anything has ever changed in this life of the object, so that something could still be undone. */
  #hasChanged = false

  constructor(rows: VectorRows, dimension: number, maxBytes: number) {
    this.#rows = rows
    this.#dimension = dimension
    this.#maxBytes = maxBytes
  }

  /** To be told of each change, whatever becomes of its transaction. */
  changed(id: string): void {
    this.#hasChanged = true
    if (this.#kept === undefined) return
    this.#changed.add(id)
    if (this.#changed.size > CHANGES_MAX) this.#forget()
  }

  /** All embeddings as they are now: from memory, or block by block from SQLite where they are too many for it. */
  blocks(): Iterable<Block> {
    const mark = this.#rows.mark()
    if (this.#kept?.mark !== mark) {
      this.#forget()
      return this.#readAll(mark)
    }
    const { blocks } = this.#kept
    if (this.#changed.size > 0) {
      this.#readChanged(blocks)
      this.#changed.clear()
      this.#kept.mark = this.#rows.changeMark()
      if (blocks.reduce((sum, block) => sum + block.bytes, 0) > this.#maxBytes) this.#forget()
    }
    return blocks
  }

  #forget(): void {
    this.#kept = undefined
    this.#changed.clear()
  }

  /** Keeps what it reads, if all of it may be kept. */
  *#readAll(mark: string): Generator<Block, void> {
    let blocks: Block[] | undefined = []
    let bytes = 0
    for (const block of this.#rows.blocks()) {
      bytes += block.bytes
      if (bytes > this.#maxBytes) blocks = undefined
      blocks?.push(block)
      yield block
    }
    if (blocks !== undefined) this.#kept = { blocks, mark: this.#hasChanged ? this.#rows.changeMark() : mark }
  }

  #readChanged(blocks: Block[]): void {
    const present = this.#rows.embeddings([...this.#changed])
    for (const block of blocks)
      // From the end, because what is removed makes room for the last row.
      for (let row = block.ids.length - 1; row >= 0; row--) {
        const id = block.ids[row]
        if (id === undefined || !this.#changed.has(id)) continue
        const embedding = present.get(id)
        if (embedding === undefined) block.remove(row)
        else block.set(row, id, embedding)
        present.delete(id)
      }
    for (const [id, embedding] of present) this.#blockWithRoom(blocks).append(id, embedding)
  }

  #blockWithRoom(blocks: Block[]): Block {
    const last = blocks.at(-1)
    if (last !== undefined && !last.isFull) return last
    const block = new Block(this.#dimension, [], new Float32Array(rowsPerBlock(this.#dimension) * this.#dimension))
    blocks.push(block)
    return block
  }
}
