// Embeddings in memory, so that a search need not read them all from SQLite, which takes several times as long as the search
// itself. They always equal the table as it is now, also inside a transaction and after a rollback.
//
// The store reports every change here, and changed rows are read again before the next search. Nobody reports a rollback. But
// SQLite undoes everything since some point, or nothing. So a search that reads changes leaves a mark in SQLite after them: a
// new value in one row, which costs a row written. While the mark is there, none of the changes was undone; a rollback that
// undoes one of them also undoes the mark, and then the next search reads everything again.

import { Block, rowsPerBlock } from './block.ts'
import type { VectorRows } from './vector-rows.ts'

/** Changes since the last search. After more of them, everything is read again. */
const CHANGES_MAX = 500

interface Kept {
  readonly blocks: Block[]
  /** The table's mark when they were read. */
  mark: string
}

export class KeptEmbeddings {
  readonly #rows: VectorRows
  readonly #dimension: number
  readonly #maxBytes: number
  #kept: Kept | undefined
  /** Ids of rows that may have changed since then. */
  readonly #changed = new Set<string>()
  /** Whether anything has changed since the object was loaded, so that a rollback could still undo it. */
  #hasChanged = false

  constructor(rows: VectorRows, dimension: number, maxBytes: number) {
    this.#rows = rows
    this.#dimension = dimension
    this.#maxBytes = maxBytes
  }

  /** Must be called for each change, even if its transaction may be rolled back. */
  changed(id: string): void {
    this.#hasChanged = true
    if (this.#kept === undefined) return
    this.#changed.add(id)
    if (this.#changed.size > CHANGES_MAX) this.#forget()
  }

  /** All embeddings as they are now: from memory or, if they are too many for it, block by block from SQLite. */
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

  /** Reads all embeddings, and keeps them if there is room for all. */
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
      // Backwards, because the last row takes the place of a removed one.
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
