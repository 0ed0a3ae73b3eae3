// Documents with an id in the object's own SQLite. Each call is one transaction, or part of the open one, in which the
// documents and their change events commit together.

import type { $ZodType } from 'zod/v4/core'
import { CDCError } from '../../error.ts'
import type { StoreChange } from '../../event/create-event.ts'
import { createIdFactory } from '../../event/id.ts'
import { isPlainObject } from '../../event/json.ts'
import { NAME_LENGTH_MAX } from '../../event/limits.ts'
import type { Attribution } from '../../event/unified-event.ts'
import { quoteName } from '../../sqlite/quote.ts'
import type { AttachedStore, SnapshotPage, StoreContext } from '../../store.ts'
import type { Transaction } from '../../transaction/transaction.ts'
import { checkBatch, checkName, checkStoreName, describe, invalid, parseWith } from '../checks.ts'
import { batchBudget } from './budget.ts'
import { type DocumentChanges, parseChanges } from './changes.ts'
import { Columns } from './columns.ts'
import {
  checkFieldNames,
  decodeDocument,
  type Document,
  type EncodedDocument,
  encodeDocument,
  type Fields,
  isSameJSON,
  ownFields,
} from './document.ts'
import { DocumentRows } from './document-rows.ts'
import { checkIndexes, settleIndexes } from './indexes.ts'
import { limits } from './limits.ts'
import type { DocumentPath } from './path.ts'
import type { DocumentQuery } from './query.ts'
import type { DocumentWhere } from './where.ts'

export interface DocumentStoreOptions<T, Input = T> {
  /**
   * Paths by which queries find documents quickly: by a value, a range of values, or an order. At most `limits.indexes`.
   * Each costs one billed row whenever a document is created or changed, even in another field, and none when it is deleted.
   *
   * A new index is built when the object wakes, for one billed row a document; one that is no longer listed is dropped.
   */
  indexes?: readonly DocumentPath<T>[]
  /**
   * A schema of zod or zod/mini. It checks the fields of a document whenever they are created or changed, and gives their
   * type. What it returns is kept, and is checked again with the next change: use defaults, but no transformation that
   * can't be repeated.
   */
  schema?: $ZodType<T, Input>
}

/**
 * @example
 * customers = new DocumentStore<Customer>(this.ctx, 'Customer', { indexes: ['address.city'] })
 * customers.create({ name: 'Alice', address: { city: 'Paris' } })
 * customers.query({ where: { 'address.city': 'Paris' }, orderBy: '-$createdAt', limit: 10 })
 */
export class DocumentStore<T extends object, Input = T> implements AttachedStore {
  /** What one call may do. Beyond a limit it throws a `CDCError`, and nothing is written. */
  static readonly limits = limits

  readonly name: string
  readonly #ctx: StoreContext
  readonly #table: string
  readonly #sqlTable: string
  readonly #indexes: readonly string[]
  readonly #schema: $ZodType<T, Input> | undefined
  readonly #rows: DocumentRows
  readonly #createId = createIdFactory(Date.now)

  /**
   * @param name what the documents are, and the `table` of their events: letters, digits and `_`. An object has one document
   *   store of a name.
   * @throws {CDCError} `invalid-argument` for a name that is not valid, or for paths that can't be indexed.
   */
  constructor(ctx: StoreContext, name: string, { indexes = [], schema }: DocumentStoreOptions<T, Input> = {}) {
    checkStoreName('DocumentStore', name)
    checkIndexes(indexes)
    const columns = new Columns(indexes)
    this.name = `document/${name}`
    this.#ctx = ctx
    this.#table = name
    this.#sqlTable = `document_${name}`
    this.#indexes = indexes
    this.#schema = schema
    this.#rows = new DocumentRows(ctx.attach(this), this.#sqlTable, columns)
  }

  createTables(sql: SqlStorage): void {
    // WITHOUT ROWID, because an index for the text key would be a second billed row for each document.
    sql.exec(
      `CREATE TABLE IF NOT EXISTS ${quoteName(this.#sqlTable)} (id TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID`,
    )
    settleIndexes(sql, this.#sqlTable, this.#indexes)
  }

  readRows(after: string | undefined, maxRows: number): SnapshotPage {
    const { rows, isLast } = this.#rows.next(after ?? '', maxRows)
    return {
      events: rows.map(({ id, document }) => ({
        op: 'r',
        store: 'document',
        table: this.#table,
        key: id,
        after: JSON.parse(document) as Fields,
      })),
      next: isLast ? undefined : rows.at(-1)?.id,
    }
  }

  /**
   * Adds a document.
   *
   * @throws {CDCError} `already-exists` if its `$id` is taken, `invalid-argument` if it is not plain JSON.
   */
  create(input: Input & { $id?: string }, attribution?: Attribution): Document<T> {
    const caller = this.#caller('create')
    const created = this.#encodeNew(input, isoNow(), caller)
    this.#ctx.transactionSync((tx) => this.#insert(tx, created, caller), attribution)
    return created.document as Document<T>
  }

  /** Adds documents, all or none, at most `limits.batchDocuments`. @throws {CDCError} like `create`. */
  createBatch(inputs: readonly (Input & { $id?: string })[], attribution?: Attribution): Document<T>[] {
    const caller = this.#caller('createBatch')
    checkBatch(inputs.length, limits.batchDocuments, 'documents', caller)
    const budget = batchBudget(caller)
    const now = isoNow()
    const created = inputs.map((input) => {
      const encoded = this.#encodeNew(input, now, caller)
      budget.take(encoded.text)
      return encoded
    })
    this.#ctx.transactionSync((tx) => {
      this.#rows.insertBatch(created, caller)
      for (const { document, text } of created) this.#emit(tx, { op: 'c', key: document.$id, after: text })
    }, attribution)
    return created.map(({ document }) => document as Document<T>)
  }

  /** @returns the document, or nothing if there is none. */
  get($id: string): Document<T> | undefined {
    return this.#rows.find($id)?.document as Document<T> | undefined
  }

  /**
   * Sets the given fields and keeps the others: `{ name: 'Alice', 'address.city': 'Paris' }`. If nothing changes, nothing is
   * written and no event is emitted.
   *
   * @throws {CDCError} `not-found` if there is no such document, `invalid-argument` if a path leads into a value that has no
   *   fields, or if a value is not plain JSON.
   */
  update($id: string, changes: DocumentChanges<T>, attribution?: Attribution): Document<T> {
    const caller = this.#caller('update')
    return this.#change($id, parseChanges(changes, caller), caller, attribution)
  }

  /**
   * Does what `update` does if the document still has a version.
   *
   * @returns nothing, and changes nothing, if it has another version or is gone.
   */
  updateIfVersion(
    $id: string,
    changes: DocumentChanges<T>,
    $version: number,
    attribution?: Attribution,
  ): Document<T> | undefined {
    const caller = this.#caller('updateIfVersion')
    const change = parseChanges(changes, caller)
    const updated = this.#ctx.transactionSync((tx) => {
      const before = this.#rows.find($id)
      return before?.document.$version === $version ? this.#rewrite(tx, before, change, caller) : undefined
    }, attribution)
    return updated?.document as Document<T> | undefined
  }

  /**
   * Updates every document that matches a filter, at most `limits.batchDocuments`.
   *
   * @returns how many changed.
   * @throws {CDCError} `invalid-argument` if there are more, and like `update`; then none is changed.
   */
  updateBatch(where: DocumentWhere<T>, changes: DocumentChanges<T>, attribution?: Attribution): number {
    const caller = this.#caller('updateBatch')
    const change = parseChanges(changes, caller)
    return this.#ctx.transactionSync((tx) => {
      const budget = batchBudget(caller)
      const now = isoNow()
      const revisions = this.#rows.match(where, caller).flatMap(({ document: before }) => {
        const after = this.#revise(decodeDocument(before), change, now, caller)
        if (after === undefined) return []
        budget.take(before)
        budget.take(after.text)
        return [{ before, after }]
      })
      this.#rows.updateBatch(revisions.map(({ after }) => after))
      for (const { before, after } of revisions)
        this.#emit(tx, { op: 'u', key: after.document.$id, before, after: after.text })
      return revisions.length
    }, attribution)
  }

  /**
   * Replaces all fields of a document except `$id` and `$createdAt`. If they are the same, nothing happens.
   *
   * @throws {CDCError} `not-found` if there is no such document, `invalid-argument` if it is not plain JSON.
   */
  replace($id: string, input: Input, attribution?: Attribution): Document<T> {
    const caller = this.#caller('replace')
    const fields = checkFieldNames(plainFields(input, caller), caller)
    return this.#change($id, () => fields, caller, attribution)
  }

  /**
   * Creates the document if there is none of this id; otherwise sets the given fields and keeps the others.
   *
   * @throws {CDCError} `invalid-argument` if it is not plain JSON.
   */
  upsert($id: string, input: Input, attribution?: Attribution): Document<T> {
    const caller = this.#caller('upsert')
    const fields = checkFieldNames(plainFields(input, caller), caller)
    const upserted = this.#ctx.transactionSync((tx) => {
      const before = this.#rows.find($id)
      return before === undefined
        ? this.#insert(tx, this.#encodeNew({ ...fields, $id }, isoNow(), caller), caller)
        : this.#rewrite(tx, before, (own) => ({ ...own, ...fields }), caller)
    }, attribution)
    return upserted.document as Document<T>
  }

  /** @returns whether there was such a document. If not, no event is emitted. */
  delete($id: string, attribution?: Attribution): boolean {
    return this.#delete($id, undefined, attribution)
  }

  /** Deletes a document if it still has a version. @returns whether it did. */
  deleteIfVersion($id: string, $version: number, attribution?: Attribution): boolean {
    return this.#delete($id, $version, attribution)
  }

  /**
   * Deletes every document that matches a filter, at most `limits.batchDocuments`.
   *
   * @returns how many there were.
   * @throws {CDCError} `invalid-argument` if there are more; then none is deleted.
   */
  deleteBatch(where: DocumentWhere<T>, attribution?: Attribution): number {
    const caller = this.#caller('deleteBatch')
    return this.#ctx.transactionSync((tx) => {
      const deleted = this.#rows.match(where, caller)
      this.#rows.deleteBatch(deleted.map(({ id }) => id))
      for (const { id, document } of deleted) this.#emit(tx, { op: 'd', key: id, before: document })
      return deleted.length
    }, attribution)
  }

  /**
   * Finds documents, page by page.
   *
   * @example
   * films.query({ where: { year: { $gte: 1990, $lt: 2000 }, 'director.name': 'Mike Leigh' }, orderBy: '-rating', limit: 10 })
   * @throws {CDCError} `invalid-argument` for a limit beyond `limits.pageDocuments`, or a filter that is not valid.
   */
  query(query: DocumentQuery<T> = {}): Document<T>[] {
    return this.#rows.page(query, this.#caller('query')).map((text) => JSON.parse(text) as Document<T>)
  }

  /** All documents in the order of `$id`, page by page. @param options.after the last `$id` of the page before. */
  list({ after, ...rest }: { after?: string | undefined; limit?: number } = {}): Document<T>[] {
    const where = after === undefined ? {} : { $id: { $gt: after } }
    const texts = this.#rows.page<unknown>({ ...rest, where }, this.#caller('list'))
    return texts.map((text) => JSON.parse(text) as Document<T>)
  }

  /** How many documents match a filter. */
  count(where: DocumentWhere<T> = {}): number {
    return this.#rows.count(where, this.#caller('count'))
  }

  #change($id: string, change: Change, caller: string, attribution?: Attribution): Document<T> {
    const changed = this.#ctx.transactionSync((tx) => {
      const before = this.#rows.find($id)
      if (before === undefined) throw new CDCError('not-found', `${caller}: there is no document ${$id}`)
      return this.#rewrite(tx, before, change, caller)
    }, attribution)
    return changed.document as Document<T>
  }

  #delete($id: string, $version?: number, attribution?: Attribution): boolean {
    return this.#ctx.transactionSync((tx) => {
      const before = this.#rows.delete($id, $version)
      if (before !== undefined) this.#emit(tx, { op: 'd', key: $id, before })
      return before !== undefined
    }, attribution)
  }

  #insert(tx: Transaction, created: EncodedDocument, caller: string): EncodedDocument {
    this.#rows.insert(created, caller)
    this.#emit(tx, { op: 'c', key: created.document.$id, after: created.text })
    return created
  }

  #rewrite(tx: Transaction, before: EncodedDocument, change: Change, caller: string): EncodedDocument {
    const after = this.#revise(before, change, isoNow(), caller)
    if (after === undefined) return before
    this.#rows.update(after)
    this.#emit(tx, { op: 'u', key: after.document.$id, before: before.text, after: after.text })
    return after
  }

  #emit(tx: Transaction, { op, key, before, after }: Pick<StoreChange, 'op' | 'key' | 'before' | 'after'>): void {
    tx.emitChange({ op, store: 'document', table: this.#table, key, before, after })
  }

  #encodeNew(input: unknown, now: string, caller: string): EncodedDocument {
    const { $id = this.#createId(), ...given } = plainFields(input, caller)
    checkName($id, NAME_LENGTH_MAX, `${caller}: $id`)
    const fields = this.#checked(given, caller)
    return encodeDocument({ ...fields, $id, $version: 1, $createdAt: now, $updatedAt: now }, caller)
  }

  /** The next version of a document; nothing if nothing changes. */
  #revise({ document }: EncodedDocument, change: Change, now: string, caller: string): EncodedDocument | undefined {
    const own = ownFields(document)
    const fields = this.#checked(change(own), caller)
    if (isSameJSON(own, fields)) return undefined
    const { $id, $version, $createdAt } = document
    return encodeDocument({ ...fields, $id, $version: $version + 1, $createdAt, $updatedAt: now }, caller)
  }

  #checked(fields: Fields, caller: string): Fields {
    if (this.#schema === undefined) return checkFieldNames(fields, caller)
    return checkFieldNames(plainFields(parseWith(this.#schema, fields, caller), caller), caller)
  }

  #caller(method: string): string {
    return `${this.#table}.${method}`
  }
}

/** Makes the new fields of a document from its present ones. */
type Change = (own: Fields) => Fields

function isoNow(): string {
  return new Date().toISOString()
}

function plainFields(input: unknown, caller: string): Fields {
  if (isPlainObject(input)) return input
  throw invalid(caller, `a document must be a plain object, not ${describe(input)}`)
}
