// Documents with embeddings in the object's own SQLite, and exact search by similarity. Each call is one transaction, or part
// of the open one, in which documents and their change events commit together.

import type * as z from 'zod'
import type { AttachedStore, SnapshotPage, StoreContext } from '../../store.ts'
import type { Transaction } from '../../transaction/transaction.ts'
import { CDCError } from '../../error.ts'
import type { Attribution } from '../../event/unified-event.ts'
import { checkStoreName, checkWhole, invalid } from '../checks.ts'
import { metadataClause, type VectorFilter } from './filter.ts'
import { KeptEmbeddings } from './kept-embeddings.ts'
import {
  VECTOR_DIMENSION_MAX,
  VECTOR_MEMORY_BYTES,
  VECTOR_SEARCH_TEXT_MAX,
  VECTORS_PER_BATCH_MAX,
  VECTORS_PER_SEARCH_MAX,
} from './limits.ts'
import { findNearest, isMetric, type Measured, type NearestQuery, type VectorMetric } from './nearest.ts'
import {
  checkEmbedding,
  type Embedding,
  encodeFacts,
  encodeVector,
  type StoredVector,
  type VectorDocument,
  type VectorShape,
} from './vector.ts'
import { type VectorFacts, type VectorRow, VectorRows } from './vector-rows.ts'

export interface VectorStoreOptions<M extends object, Input extends object = M> {
  /** Numbers in each embedding, 1 to `VECTOR_DIMENSION_MAX`. It can change only while the store is empty. */
  dimension: number
  /** The `table` of the store's events: letters, digits and `_`. An object has one store of a table. Default: `vectors`. */
  table?: string
  /** Checks metadata whenever it is written, and gives its type. What it returns is kept. */
  schema?: z.ZodType<M, Input>
  /**
   * How many bytes of embeddings and ids searches keep in memory; an object has 128 MB for all that it does. Where there are
   * more, each search reads them all from SQLite. Default: `VECTOR_MEMORY_BYTES`, 32 MB.
   */
  memoryBytes?: number
}

export interface VectorSearch<M extends object> {
  embedding: Embedding
  /** Documents to find, at most `VECTORS_PER_SEARCH_MAX`. Default: 10. */
  limit?: number
  /** Only documents whose metadata has these values. Such a search reads all metadata from SQLite. */
  filter?: VectorFilter<M>
  /** Default: `cosine`. */
  metric?: VectorMetric
}

/** A document that a search found. */
export interface VectorMatch<M extends object> extends Measured, Pick<StoredVector<M>, 'content' | 'metadata'> {}

const SEARCH_LIMIT = 10
const SEARCH_FIELDS = ['embedding', 'limit', 'filter', 'metric']

/** What searches keep in memory, by the table: stores of an object that share a table must see each other's changes. */
const keptByTable = new WeakMap<DurableObjectStorage, Map<string, KeptEmbeddings>>()

/**
 * @example
 * memories = new VectorStore<{ topic: string }>(this.ctx, { dimension: 768 })
 * memories.insert({ id: 'm1', content: 'Alice likes tea', embedding, metadata: { topic: 'drinks' } })
 * memories.search({ embedding, limit: 5, filter: { topic: 'drinks' } })
 */
export class VectorStore<
  M extends object = Record<string, unknown>,
  Input extends object = M,
> implements AttachedStore {
  readonly name: string
  readonly dimension: number
  readonly #ctx: StoreContext
  readonly #table: string
  readonly #shape: VectorShape<M, Input>
  readonly #rows: VectorRows
  readonly #kept: KeptEmbeddings

  /**
   * @throws {CDCError} `invalid-argument` for another dimension than that of the embeddings that are there, and for a
   *   name that is no table's.
   */
  constructor(ctx: StoreContext, options: VectorStoreOptions<M, Input>) {
    const { dimension, table = 'vectors', schema, memoryBytes = VECTOR_MEMORY_BYTES } = options
    checkStoreName('VectorStore', 'table', table)
    checkWhole(dimension, { from: 1, to: VECTOR_DIMENSION_MAX }, 'VectorStore: dimension')
    this.name = `vector/${table}`
    this.dimension = dimension
    this.#ctx = ctx
    this.#table = table
    this.#shape = { dimension, schema }
    this.#rows = new VectorRows(ctx.attach(this), table, dimension)
    this.#kept = keptOf(ctx.storage, table, () => new KeptEmbeddings(this.#rows, dimension, memoryBytes))
    const stored = this.#rows.storedDimension()
    if (stored !== undefined && stored !== dimension)
      throw invalid(
        'VectorStore',
        `${table} holds embeddings of ${stored} numbers, not ${dimension}; give the new ones another table`,
      )
  }

  createTables(sql: SqlStorage): void {
    VectorRows.createTables(sql, this.#table)
  }

  readRows(after: string | undefined, maxRows: number): SnapshotPage {
    const rows = this.#rows.facts(after ?? '', maxRows)
    return {
      events: rows.map((row) => ({
        op: 'r',
        store: 'vector',
        table: this.#table,
        key: row.id,
        after: JSON.parse(encodeFacts(row, this.dimension)) as Record<string, unknown>,
      })),
      next: rows.length < maxRows ? undefined : rows.at(-1)?.id,
    }
  }

  /**
   * Adds a document.
   *
   * @throws {CDCError} `already-exists` where its id is taken, `invalid-argument` where its embedding has another dimension
   *   or a number that no 32-bit float can be, or its metadata isn't plain JSON.
   */
  insert(document: VectorDocument<Input>, attribution?: Attribution): void {
    const caller = this.#caller('insert')
    const row = encodeVector(document, this.#shape, caller)
    this.#ctx.transactionSync((tx) => this.#insert(tx, row, caller), attribution)
  }

  /** Adds documents, all or none. At most `VECTORS_PER_BATCH_MAX`. @throws {CDCError} like `insert`. */
  insertBatch(documents: readonly VectorDocument<Input>[], attribution?: Attribution): void {
    const caller = this.#caller('insertBatch')
    if (documents.length > VECTORS_PER_BATCH_MAX)
      throw invalid(
        caller,
        `there are ${documents.length} documents, the limit is ${VECTORS_PER_BATCH_MAX}; insert them in several batches`,
      )
    const rows = documents.map((document) => encodeVector(document, this.#shape, caller))
    this.#ctx.transactionSync((tx) => {
      this.#refuseTaken(rows, caller, () => this.#rows.insertMany(rows))
      for (const row of rows) this.#emitChange(tx, row.id, { op: 'c', after: row })
    }, attribution)
  }

  /**
   * Adds a document, or replaces the one of its id. Where it is there already as it is, nothing is written and no event is
   * emitted.
   *
   * @throws {CDCError} `invalid-argument`, as `insert` does.
   */
  upsert(document: VectorDocument<Input>, attribution?: Attribution): void {
    const caller = this.#caller('upsert')
    const row = encodeVector(document, this.#shape, caller)
    this.#ctx.transactionSync((tx) => {
      const before = this.#rows.compare(row)
      if (before === undefined) return this.#insert(tx, row, caller)
      if (before.isSame) return
      this.#rows.replace(row)
      this.#emitChange(tx, row.id, { op: 'u', before, after: row })
    }, attribution)
  }

  /** @returns the document, or nothing where there is none. */
  get(id: string): StoredVector<M> | undefined {
    const row = this.#rows.find(id)
    return row && { id, content: row.content, embedding: row.embedding, metadata: JSON.parse(row.metadata) as M }
  }

  /** @returns whether there was such a document. Where there was none, no event is emitted. */
  delete(id: string, attribution?: Attribution): boolean {
    return this.#ctx.transactionSync((tx) => {
      const before = this.#rows.delete(id)
      if (before === undefined) return false
      this.#emitChange(tx, id, { op: 'd', before })
      return true
    }, attribution)
  }

  /**
   * Finds the documents whose embeddings are nearest, the nearest first; of those that are equally near, those whose id
   * comes first. Exact: every embedding is measured, those of length 0 being like nothing under `cosine`.
   *
   * The first search after a change writes a row.
   *
   * @returns documents with their `similarity` (more is nearer) and `distance` (less is nearer). Under `cosine` it is the
   *   cosine, -1 to 1, and 1 less it; under `dot` the dot product and its negative; under `l2` the distance is that of the two
   *   ends, and the similarity 1 / (1 + distance).
   * @throws {CDCError} `invalid-argument` for another dimension, a limit beyond `VECTORS_PER_SEARCH_MAX`, a filter that can't
   *   be applied, or documents of more than `VECTOR_SEARCH_TEXT_MAX` characters.
   */
  search(search: VectorSearch<M>): VectorMatch<M>[] {
    const caller = this.#caller('search')
    const query = checkSearch(search, this.dimension, caller)
    const blocks =
      search.filter === undefined ? this.#kept.blocks() : this.#rows.blocks(metadataClause(search.filter, caller))
    return this.#withTexts(findNearest(blocks, query), caller)
  }

  #withTexts(found: readonly Measured[], caller: string): VectorMatch<M>[] {
    const texts = new Map<string, Pick<VectorMatch<M>, 'content' | 'metadata'>>()
    let characters = 0
    for (const [id, content, metadata] of this.#rows.texts(found.map((measured) => measured.id))) {
      characters += content.length + metadata.length
      if (characters > VECTOR_SEARCH_TEXT_MAX)
        throw invalid(caller, `what was found has more than ${VECTOR_SEARCH_TEXT_MAX} characters; lower the limit`)
      texts.set(id, { content, metadata: JSON.parse(metadata) as M })
    }
    return found.flatMap(({ id, similarity, distance }) => {
      const text = texts.get(id)
      return text === undefined ? [] : [{ id, ...text, similarity, distance }]
    })
  }

  #insert(tx: Transaction, row: VectorRow, caller: string): void {
    this.#refuseTaken([row], caller, () => this.#rows.insert(row))
    this.#emitChange(tx, row.id, { op: 'c', after: row })
  }

  /** SQLite knows without being asked that an id is taken; only then it is asked which. */
  #refuseTaken(rows: readonly VectorRow[], caller: string, insert: () => void): void {
    try {
      insert()
    } catch (cause) {
      const ids = rows.map(({ id }) => id)
      const repeated = firstRepeated(ids)
      const taken = this.#rows.findTaken(ids)
      if (repeated === undefined && taken === undefined) throw cause
      const problem =
        repeated === undefined
          ? `there is a document ${taken} already; upsert it instead`
          : `${repeated} is the id of more than one document`
      throw new CDCError('already-exists', `${caller}: ${problem}`, { cause })
    }
  }

  #emitChange(tx: Transaction, id: string, { op, before, after }: Change): void {
    this.#kept.changed(id)
    tx.emitChange({
      op,
      store: 'vector',
      table: this.#table,
      key: id,
      before: before && encodeFacts(before, this.dimension),
      after: after && encodeFacts(after, this.dimension),
    })
  }

  #caller(method: string): string {
    return `${this.#table}.${method}`
  }
}

interface Change {
  readonly op: 'c' | 'u' | 'd'
  readonly before?: VectorFacts
  readonly after?: VectorFacts
}

/** @throws {CDCError} `invalid-argument` */
function checkSearch<M extends object>(search: VectorSearch<M>, dimension: number, caller: string): NearestQuery {
  const { limit = SEARCH_LIMIT, metric = 'cosine' } = search
  const unknown = Object.keys(search).find((field) => !SEARCH_FIELDS.includes(field))
  if (unknown !== undefined) throw invalid(caller, `unknown field ${unknown}; there are ${SEARCH_FIELDS.join(', ')}`)
  checkWhole(limit, { from: 1, to: VECTORS_PER_SEARCH_MAX }, `${caller}: limit`)
  if (!isMetric(metric)) throw invalid(caller, `metric must be cosine, dot or l2, not ${String(metric)}`)
  const embedding = checkEmbedding(search.embedding, dimension, caller)
  if (metric === 'cosine' && embedding.every((number) => number === 0))
    throw invalid(caller, 'embedding has length 0, and so no direction; search by dot or l2')
  return { embedding, limit, metric }
}

function firstRepeated(ids: readonly string[]): string | undefined {
  const seen = new Set<string>()
  return ids.find((id) => seen.size === seen.add(id).size)
}

function keptOf(storage: DurableObjectStorage, table: string, create: () => KeptEmbeddings): KeptEmbeddings {
  const tables = keptByTable.get(storage) ?? new Map<string, KeptEmbeddings>()
  keptByTable.set(storage, tables)
  const kept = tables.get(table) ?? create()
  tables.set(table, kept)
  return kept
}
