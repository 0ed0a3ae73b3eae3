// Embeddings one after the other in memory, each with its id, in no particular order: what a search scans.

/** Rows of a block. As many of the longest ids still fit into one value of SQLite. */
const BLOCK_ROWS_MAX = 256
const BLOCK_BYTES_MAX = 1_000_000
/** Memory of a string beside its characters. */
const ID_BYTES = 32

export function rowsPerBlock(dimension: number): number {
  return Math.min(BLOCK_ROWS_MAX, Math.floor(BLOCK_BYTES_MAX / (dimension * Float32Array.BYTES_PER_ELEMENT)))
}

export class Block {
  readonly ids: string[]
  readonly #dimension: number
  readonly #embeddings: Float32Array
  /** The dot product of each row with itself. */
  readonly #squares: Float64Array
  #idCharacters = 0

  /** @param embeddings of these ids, and room for more rows if it is longer. */
  constructor(dimension: number, ids: string[], embeddings: Float32Array) {
    this.ids = ids
    this.#dimension = dimension
    this.#embeddings = embeddings
    this.#squares = new Float64Array(embeddings.length / dimension)
    for (let row = 0; row < ids.length; row++) this.#squares[row] = squareOf(this.#embedding(row))
    for (const id of ids) this.#idCharacters += id.length
  }

  get isFull(): boolean {
    return this.ids.length === this.#squares.length
  }

  /** About how much memory it takes. */
  get bytes(): number {
    return this.#embeddings.byteLength + this.#squares.byteLength + this.#idCharacters * 2 + this.ids.length * ID_BYTES
  }

  set(row: number, id: string, embedding: Float32Array): void {
    this.#idCharacters += id.length - (this.ids[row]?.length ?? 0)
    this.ids[row] = id
    this.#embeddings.set(embedding, row * this.#dimension)
    this.#squares[row] = squareOf(embedding)
  }

  append(id: string, embedding: Float32Array): void {
    this.set(this.ids.length, id, embedding)
  }

  /** Removes a row; the last one takes its place. */
  remove(row: number): void {
    const last = this.ids.length - 1
    this.set(row, this.ids[last] ?? '', this.#embedding(last))
    this.#idCharacters -= this.ids.pop()?.length ?? 0
  }

  square(row: number): number {
    return this.#squares[row] ?? 0
  }

  dot(row: number, query: Float32Array): number {
    return dot(this.#embeddings, row * this.#dimension, query)
  }

  /** The square of the distance between the ends of the two. */
  distanceSquared(row: number, query: Float32Array): number {
    const embeddings = this.#embeddings
    let sum = 0
    for (let index = 0, at = row * query.length; index < query.length; index++, at++) {
      const difference = (embeddings[at] ?? 0) - (query[index] ?? 0)
      sum += difference * difference
    }
    return sum
  }

  #embedding(row: number): Float32Array {
    return this.#embeddings.subarray(row * this.#dimension, (row + 1) * this.#dimension)
  }
}

export function squareOf(embedding: Float32Array): number {
  return dot(embedding, 0, embedding)
}

/** Four sums, because with a single one each addition would wait for the one before it. */
function dot(embeddings: Float32Array, from: number, query: Float32Array): number {
  const inFours = query.length & -4
  let a = 0
  let b = 0
  let c = 0
  let d = 0
  let at = from
  let index = 0
  for (; index < inFours; index += 4, at += 4) {
    a += (embeddings[at] ?? 0) * (query[index] ?? 0)
    b += (embeddings[at + 1] ?? 0) * (query[index + 1] ?? 0)
    c += (embeddings[at + 2] ?? 0) * (query[index + 2] ?? 0)
    d += (embeddings[at + 3] ?? 0) * (query[index + 3] ?? 0)
  }
  for (; index < query.length; index++, at++) a += (embeddings[at] ?? 0) * (query[index] ?? 0)
  return a + b + c + d
}
