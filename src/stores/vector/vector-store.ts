// Documents with embeddings in the object's own SQLite, and exact search by similarity. Each call is one transaction, or part
// of the open one, in which documents and their change events commit together.

import type { $ZodType } from 'zod/v4/core'
import { CDCError } from '../../error.ts'
import type { Attribution } from '../../event/unified-event.ts'
import type { AttachedStore, SnapshotPage, StoreContext } from '../../store.ts'
import type { Transaction } from '../../transaction/transaction.ts'
import { checkBatch, checkStoreName, checkWhole, describe, firstRepeated, invalid } from '../checks.ts'
import { snapshotPage } from '../snapshot-page.ts'
import { metadataClause, type VectorFilter } from './filter.ts'
import { KeptEmbeddings } from './kept-embeddings.ts'
import { limits } from './limits.ts'
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
  /** Numbers in each embedding, 1 to `limits.dimension`. It can change only while the store is empty. */
  dimension: number
  /** A schema of zod or zod/mini. It checks metadata whenever it is written, and gives its type. What it returns is kept. */
  schema?: $ZodType<M, Input>
  /**
   * How many bytes of embeddings and ids searches keep in memory; an object has 128 MB for everything. If there are more, each
   * search reads them all from SQLite. Default: 32 MiB.
   */
  maxMemoryBytes?: number
}

export interface VectorSearch<M extends object> {
  embedding: Embedding
  /** Documents to find, at most `limits.searchDocuments`. Default: 10. */
  limit?: number
  /** Only documents whose metadata has these values. Such a search reads all metadata from SQLite. */
  filter?: VectorFilter<M>
  /** Default: `cosine`. */
  metric?: VectorMetric
}

/** A document that a search found. */
export interface VectorMatch<M extends object> extends Measured, Pick<StoredVector<M>, 'content' | 'metadata'> {}

const DEFAULT_MEMORY_BYTES = 32 * 1_024 * 1_024
const DEFAULT_SEARCH_DOCUMENTS = 10
const SEARCH_FIELDS = ['embedding', 'limit', 'filter', 'metric']

/** What searches keep in memory, by table: stores of an object that share a table must see each other's changes. */
const keptByTable = new WeakMap<DurableObjectStorage, Map<string, KeptEmbeddings>>()

/**
 * @example
 * memories = new VectorStore<{ topic: string }>(this.ctx, 'memories', { dimension: 768 })
 * memories.insert({ id: 'm1', content: 'Alice likes tea', embedding, metadata: { topic: 'drinks' } })
 * memories.search({ embedding, limit: 5, filter: { topic: 'drinks' } })
 */
export class VectorStore<
  M extends object = Record<string, unknown>,
  Input extends object = M,
> implements AttachedStore {
  /** What one call may do. Beyond a limit it throws a `CDCError`, and nothing is written. */
  static readonly limits = limits

  readonly name: string
  readonly dimension: number
  readonly #ctx: StoreContext
  readonly #table: string
  readonly #shape: VectorShape<M, Input>
  readonly #rows: VectorRows
  readonly #kept: KeptEmbeddings

  /**
   * @param name the `table` of the store's events: letters, digits and `_`. An object has one vector store of a name.
   * @throws {CDCError} `invalid-argument` for a name that is not valid, and for another dimension than that of the embeddings
   *   that the store already holds.
   */
  constructor(ctx: StoreContext, name: string, options: VectorStoreOptions<M, Input>) {
    const { dimension, schema, maxMemoryBytes = DEFAULT_MEMORY_BYTES } = options
    checkStoreName('VectorStore', name)
    checkWhole(dimension, { from: 1, to: limits.dimension }, 'VectorStore: dimension')
    this.name = `vector/${name}`
    this.dimension = dimension
    this.#ctx = ctx
    this.#table = name
    this.#shape = { dimension, schema }
    this.#rows = new VectorRows(ctx.attach(this), name, dimension)
    this.#kept = keptOf(ctx.storage, name, () => new KeptEmbeddings(this.#rows, dimension, maxMemoryBytes))
    const stored = this.#rows.storedDimension()
    if (stored !== undefined && stored !== dimension)
      throw invalid(
        'VectorStore',
        `${name} holds embeddings of ${stored} numbers, not ${dimension}; give the new ones a store of another name`,
      )
  }

  createTables(sql: SqlStorage): void {
    VectorRows.createTables(sql, this.#table)
  }

  readRows(after: string | undefined, maxRows: number): SnapshotPage {
    return snapshotPage(this.#rows.facts(after ?? '', maxRows), maxRows, {
      eventOf: (row) => ({
        op: 'r',
        store: 'vector',
        table: this.#table,
        key: row.id,
        after: JSON.parse(encodeFacts(row, this.dimension)) as Record<string, unknown>,
      }),
      placeOf: ({ id }) => id,
    })
  }

  /**
   * Adds a document.
   *
   * @throws {CDCError} `already-exists` if its id is taken, `invalid-argument` if its embedding has another dimension or a
   *   number that is not a 32-bit float, or if its metadata is not plain JSON.
   */
  insert(document: VectorDocument<Input>, attribution?: Attribution): void {
    const caller = this.#caller('insert')
    const row = encodeVector(document, this.#shape, caller)
    this.#ctx.transactionSync((tx) => this.#insert(tx, row, caller), attribution)
  }

  /** Adds documents, all or none, at most `limits.batchDocuments`. @throws {CDCError} like `insert`. */
  insertBatch(documents: readonly VectorDocument<Input>[], attribution?: Attribution): void {
    const caller = this.#caller('insertBatch')
    checkBatch(documents.length, limits.batchDocuments, 'documents', caller)
    const rows = documents.map((document) => encodeVector(document, this.#shape, caller))
    this.#ctx.transactionSync((tx) => {
      this.#refuseTaken(rows, caller, () => this.#rows.insertBatch(rows))
      for (const row of rows) this.#emitChange(tx, row.id, { op: 'c', after: row })
    }, attribution)
  }

  /**
   * Adds a document, or replaces the one of its id. If they are the same, nothing is written and no event is emitted.
   *
   * @throws {CDCError} `invalid-argument` like `insert`.
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

  /** @returns the document, or nothing if there is none. */
  get(id: string): StoredVector<M> | undefined {
    const row = this.#rows.find(id)
    return row && { id, content: row.content, embedding: row.embedding, metadata: JSON.parse(row.metadata) as M }
  }

  /** @returns whether there was such a document. If not, no event is emitted. */
  delete(id: string, attribution?: Attribution): boolean {
    return this.#ctx.transactionSync((tx) => {
      const before = this.#rows.delete(id)
      if (before === undefined) return false
      this.#emitChange(tx, id, { op: 'd', before })
      return true
    }, attribution)
  }

  /**
   * Finds the documents whose embeddings are nearest, nearest first; equally near ones in the order of their ids. It is exact:
   * every embedding is measured. Under `cosine`, embeddings of length 0 are similar to nothing.
   *
   * The first search after a change writes a row.
   *
   * @returns documents with their `similarity` (more is nearer) and `distance` (less is nearer). Under `cosine` these are the
   *   cosine, -1 to 1, and 1 minus the cosine; under `dot`, the dot product and its negative; under `l2`, the distance is that
   *   of the two ends, and the similarity is 1 / (1 + distance).
   * @throws {CDCError} `invalid-argument` for another dimension, a limit beyond `limits.searchDocuments`, a filter that is not
   *   valid, or a result of more than `limits.searchCharacters`.
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
      if (characters > limits.searchCharacters)
        throw invalid(caller, `the result has more than ${limits.searchCharacters} characters; choose a lower limit`)
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

  /** SQLite refuses ids that are taken; only then it is worth looking for the one. */
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
          ? `document ${taken} already exists; upsert it instead`
          : `${repeated} is the id of several documents; keep one of them`
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

/** @throws {CDCError} `invalid-argument`. */
function checkSearch<M extends object>(search: VectorSearch<M>, dimension: number, caller: string): NearestQuery {
  const { limit = DEFAULT_SEARCH_DOCUMENTS, metric = 'cosine' } = search
  const unknown = Object.keys(search).find((field) => !SEARCH_FIELDS.includes(field))
  if (unknown !== undefined) throw invalid(caller, `a search has ${SEARCH_FIELDS.join(', ')}, but no ${unknown}`)
  checkWhole(limit, { from: 1, to: limits.searchDocuments }, `${caller}: limit`)
  if (!isMetric(metric)) throw invalid(caller, `metric must be cosine, dot or l2, not ${describe(metric)}`)
  const embedding = checkEmbedding(search.embedding, dimension, caller)
  if (metric === 'cosine' && embedding.every((number) => number === 0))
    throw invalid(caller, 'the embedding has length 0, and so no direction; search by dot or l2')
  return { embedding, limit, metric }
}

function keptOf(storage: DurableObjectStorage, table: string, create: () => KeptEmbeddings): KeptEmbeddings {
  const tables = keptByTable.get(storage) ?? new Map<string, KeptEmbeddings>()
  keptByTable.set(storage, tables)
  const kept = tables.get(table) ?? create()
  tables.set(table, kept)
  return kept
}
