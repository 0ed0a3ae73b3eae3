// Documents with an id in the object's own SQLite. Each call is one transaction, or part of the open one, in which the
// document and its change event commit together.

import { ulid } from 'ulid'
import type { AttachedStore, SnapshotPage, StoreSQL } from '../../durable-object/attached-stores.ts'
import type { StoreContext } from '../../durable-object/exactly-once-context.ts'
import { CDCError } from '../../error.ts'
import { jsonProblem } from '../../event/json.ts'
import { type DocumentQuery, type DocumentWhere, selectDocuments, whereClause } from './query.ts'

/** What the store adds to each document. */
export interface DocumentFields {
  /** Given at creation, else a ULID. */
  $id: string
  /** 1 at creation, one more with each change. */
  $version: number
  /** ISO 8601, UTC. */
  $createdAt: string
  $updatedAt: string
}

export type Document<T> = T & DocumentFields

type Fields = Record<string, unknown>

/**
 * @example
 * customers = new DocumentStore<Customer>(this.ctx, 'Customer')
 * customers.create({ name: 'Alice' })
 */
export class DocumentStore<T extends object> implements AttachedStore {
  readonly name: string
  readonly #ctx: StoreContext
  readonly #sql: StoreSQL
  readonly #type: string
  readonly #table: string

  /**
   * @param type what the documents are, and the `table` of their events: letters, digits and `_`.
   * @throws {CDCError} `invalid-argument` for another name.
   */
  constructor(ctx: StoreContext, type: string) {
    if (!/^[A-Za-z]\w{0,63}$/.test(type))
      throw new CDCError(
        'invalid-argument',
        `DocumentStore: type must be 1 to 64 letters, digits or _, and begin with a letter; not ${JSON.stringify(type)}`,
      )
    this.#ctx = ctx
    this.#type = type
    this.#table = `"document_${type}"`
    this.name = `document/${type}`
    this.#sql = ctx.attach(this)
  }

  createTables(sql: SqlStorage): void {
    // WITHOUT ROWID, because an index for the text key would be a second billed row for each document.
    sql.exec(`CREATE TABLE IF NOT EXISTS ${this.#table} (id TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID`)
  }

  readRows(after: string | undefined, rowsMax: number): SnapshotPage {
    const rows = this.#sql
      .exec<{ id: string; document: string }>(
        `SELECT id, document FROM ${this.#table} WHERE id > ? ORDER BY id LIMIT ?`,
        after ?? '',
        rowsMax,
      )
      .toArray()
    return {
      events: rows.map(({ id, document }) => ({
        op: 'r',
        store: 'document',
        table: this.#type,
        key: id,
        after: JSON.parse(document) as Fields,
      })),
      next: rows.length < rowsMax ? undefined : rows.at(-1)?.id,
    }
  }

  /**
   * Adds a document.
   *
   * @throws {CDCError} `already-exists` where its `$id` is taken, `invalid-argument` where it isn't plain JSON.
   */
  create(input: T & { $id?: string }): Document<T> {
    const now = new Date().toISOString()
    const { $id = ulid(), ...fields } = input as Fields & { $id?: string }
    const document = { ...this.#checkFields(fields, 'create'), $id, $version: 1, $createdAt: now, $updatedAt: now }
    this.#ctx.transactionSync((tx) => {
      if (this.#find($id) !== undefined)
        throw new CDCError(
          'already-exists',
          `${this.#type}.create: there is a document ${$id} already; update it instead`,
        )
      this.#sql.exec(`INSERT INTO ${this.#table} VALUES (?, ?)`, $id, JSON.stringify(document))
      tx.emit({ op: 'c', store: 'document', table: this.#type, key: $id, after: document })
    })
    return document as Document<T>
  }

  /** @returns the document, or nothing where there is none. */
  get($id: string): Document<T> | undefined {
    return this.#find($id) as Document<T> | undefined
  }

  /**
   * Sets the fields given and keeps the others; a field that is `undefined` stays as it is. Where nothing changes,
   * nothing is written and no event is emitted.
   *
   * @throws {CDCError} `not-found` where there is no such document, `invalid-argument` where a value isn't plain JSON.
   */
  update($id: string, changes: Partial<T>): Document<T> {
    const fields = this.#checkFields(changes, 'update')
    const updated = this.#ctx.transactionSync((tx) => {
      const before = this.#find($id)
      if (before === undefined) throw new CDCError('not-found', `${this.#type}.update: there is no document ${$id}`)
      const after = { ...before, ...fields }
      if (JSON.stringify(after) === JSON.stringify(before)) return before
      after.$version = before.$version + 1
      after.$updatedAt = new Date().toISOString()
      this.#sql.exec(`UPDATE ${this.#table} SET document = ? WHERE id = ?`, JSON.stringify(after), $id)
      tx.emit({ op: 'u', store: 'document', table: this.#type, key: $id, before, after })
      return after
    })
    return updated as Document<T>
  }

  /** @returns whether there was such a document. Where there was none, no event is emitted. */
  delete($id: string): boolean {
    return this.#ctx.transactionSync((tx) => {
      const before = this.#find($id)
      if (before === undefined) return false
      this.#sql.exec(`DELETE FROM ${this.#table} WHERE id = ?`, $id)
      tx.emit({ op: 'd', store: 'document', table: this.#type, key: $id, before })
      return true
    })
  }

  /**
   * Finds documents by equal fields, in pages. `{ where: { year: 1998 }, orderBy: '-rating', limit: 10 }`.
   *
   * @throws {CDCError} `invalid-argument` for a limit beyond `DOCUMENTS_PER_PAGE_MAX` or a value that can't be compared.
   */
  query(query: DocumentQuery<T> = {}): Document<T>[] {
    const { sql, params } = selectDocuments(this.#table, query)
    const rows = this.#sql.exec<{ document: string }>(sql, ...params).toArray()
    return rows.map((row) => JSON.parse(row.document) as Document<T>)
  }

  /** How many documents have these fields. */
  count(where: DocumentWhere<T> = {}): number {
    const { sql, params } = whereClause(where)
    return this.#sql.exec<{ count: number }>(`SELECT count(*) AS count FROM ${this.#table} ${sql}`, ...params).one()
      .count
  }

  #find($id: string): (Fields & DocumentFields) | undefined {
    const [row] = this.#sql
      .exec<{ document: string }>(`SELECT document FROM ${this.#table} WHERE id = ?`, $id)
      .toArray()
    return row === undefined ? undefined : (JSON.parse(row.document) as Fields & DocumentFields)
  }

  /** The fields that are given, once it is sure that they are plain JSON and none of them is the store's own. */
  #checkFields(fields: Fields, method: string): Fields {
    const problem = jsonProblem(fields)
    const reserved = Object.keys(fields).find((field) => field.startsWith('$'))
    if (problem !== undefined) throw new CDCError('invalid-argument', `${this.#type}.${method}: ${problem}`)
    if (reserved !== undefined)
      throw new CDCError('invalid-argument', `${this.#type}.${method}: ${reserved} is the store's own; leave it out`)
    return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
  }
}
