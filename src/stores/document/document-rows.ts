// The rows of a store: all SQL on its table. The caller opens the transaction and emits the events.

import { CDCError } from '../../error.ts'
import { quoteName } from '../../sqlite/quote.ts'
import type { StoreSQL } from '../../store.ts'
import { checkBatch, firstRepeated } from '../checks.ts'
import { jsonArrays, pieces } from '../pieces.ts'
import { type Budget, batchBudget, pageBudget } from './budget.ts'
import { type Columns, Parameters } from './columns.ts'
import { decodeDocument, type EncodedDocument } from './document.ts'
import { limits } from './limits.ts'
import { type DocumentQuery, planPage } from './query.ts'
import { WhereCompiler } from './where.ts'

/** A document as the table holds it. */
type Row = { id: string; document: string }

export class DocumentRows {
  readonly #sql: StoreSQL
  readonly #table: string
  readonly #columns: Columns

  constructor(sql: StoreSQL, table: string, columns: Columns) {
    this.#sql = sql
    this.#table = quoteName(table)
    this.#columns = columns
  }

  find($id: string): EncodedDocument | undefined {
    const [row] = this.#sql.exec<Row>(`SELECT document FROM ${this.#table} WHERE id = ?`, $id).toArray()
    return row && decodeDocument(row.document)
  }

  /** @throws {CDCError} `already-exists`. */
  insert({ document, text }: EncodedDocument, caller: string): void {
    try {
      this.#sql.exec(`INSERT INTO ${this.#table} VALUES (?, ?)`, document.$id, text)
    } catch (error) {
      throw this.#insertError([document], caller, error)
    }
  }

  /** @throws {CDCError} `already-exists`. */
  insertBatch(documents: readonly EncodedDocument[], caller: string): void {
    for (const piece of pieces(documents, { charactersOf }))
      try {
        this.#sql.exec(`INSERT INTO ${this.#table} SELECT key, value FROM json_each(?)`, jsonById(piece))
      } catch (error) {
        throw this.#insertError(
          piece.map(({ document }) => document),
          caller,
          error,
        )
      }
  }

  update({ document, text }: EncodedDocument): void {
    this.#sql.exec(`UPDATE ${this.#table} SET document = ? WHERE id = ?`, text, document.$id)
  }

  updateBatch(documents: readonly EncodedDocument[]): void {
    const statement = `UPDATE ${this.#table} SET document = value FROM json_each(?) WHERE ${this.#table}.id = key`
    for (const piece of pieces(documents, { charactersOf })) this.#sql.exec(statement, jsonById(piece))
  }

  /** @returns the text of the deleted document; nothing if there was none, or only one of another version. */
  delete($id: string, $version?: number): string | undefined {
    const isOfVersion = $version === undefined ? '' : `AND document ->> '$."$version"' = ?`
    const statement = `DELETE FROM ${this.#table} WHERE id = ? ${isOfVersion} RETURNING document`
    const [row] = this.#sql.exec<Row>(statement, ...($version === undefined ? [$id] : [$id, $version])).toArray()
    return row?.document
  }

  deleteBatch(ids: readonly string[]): void {
    const statement = `DELETE FROM ${this.#table} WHERE id IN (SELECT value FROM json_each(?))`
    for (const array of jsonArrays(ids.map((id) => JSON.stringify(id)))) this.#sql.exec(statement, array)
  }

  /**
   * All documents that match a filter, to be changed as a batch.
   *
   * @throws {CDCError} `invalid-argument` if they are too many, or too large together.
   */
  match(where: unknown, caller: string): Row[] {
    const { filter, values } = this.#filter(where, caller)
    const statement = `SELECT id, document FROM ${this.#table} WHERE ${filter} LIMIT ${limits.batchDocuments + 1}`
    const matches = within(batchBudget(caller), this.#sql.exec<Row>(statement, ...values))
    checkBatch(matches.length, limits.batchDocuments, 'documents', caller)
    return matches
  }

  /** The documents of one page, as their texts. */
  page<T>(query: DocumentQuery<T>, caller: string): string[] {
    const { ranges, parameters, limit, offset } = planPage(query, this.#columns, caller)
    const bounds = `LIMIT ?${parameters.values.length + 1} OFFSET ?${parameters.values.length + 2}`
    const budget = pageBudget(caller)
    const rows: Row[] = []
    for (const range of ranges) {
      if (rows.length === limit) break
      const statement = `SELECT document FROM ${this.#table} ${range} ${bounds}`
      const found = this.#sql.exec<Row>(statement, ...parameters.values, limit - rows.length, offset)
      rows.push(...within(budget, found))
    }
    return rows.map((row) => row.document)
  }

  count(where: unknown, caller: string): number {
    const { filter, values } = this.#filter(where, caller)
    const statement = `SELECT count(*) AS count FROM ${this.#table} WHERE ${filter}`
    return this.#sql.exec<{ count: number }>(statement, ...values).one().count
  }

  /** The rows after an id: at least one if there is any, and few enough to be held at once. */
  next(after: string, maxRows: number): { rows: Row[]; isLast: boolean } {
    // Both are read to the end: SQLite refuses to drop a table, one of the user's too, while rows of any query are left.
    const following = `FROM ${this.#table} WHERE id > ? ORDER BY id LIMIT ?`
    const sizes = this.#sql
      .exec<{ bytes: number }>(`SELECT octet_length(document) AS bytes ${following}`, after, maxRows + 1)
      .toArray()
    let [count, total] = [0, 0]
    for (const { bytes } of sizes.slice(0, maxRows)) {
      total += bytes
      if (count > 0 && total > limits.pageCharacters) break
      count += 1
    }
    const rows = this.#sql.exec<Row>(`SELECT id, document ${following}`, after, count).toArray()
    return { rows, isLast: count === sizes.length }
  }

  #filter(where: unknown, caller: string): { filter: string; values: readonly SqlStorageValue[] } {
    const parameters = new Parameters()
    const filter = new WhereCompiler(this.#columns, parameters, caller).compile(where)
    return { filter, values: parameters.values }
  }

  /** Why an INSERT failed. Only a failure makes it worth looking for the document in the way. */
  #insertError(documents: readonly { $id: string }[], caller: string, cause: unknown): unknown {
    const ids = documents.map(({ $id }) => $id)
    const taken = firstRepeated(ids) ?? ids.find(($id) => this.find($id) !== undefined)
    if (taken === undefined) return cause
    return new CDCError('already-exists', `${caller}: document ${taken} already exists; update or upsert it instead`, {
      cause,
    })
  }
}

function within(budget: Budget, rows: Iterable<Row>): Row[] {
  return Array.from(rows, (row) => {
    budget.take(row.document)
    return row
  })
}

function charactersOf({ document, text }: EncodedDocument): number {
  return JSON.stringify(document.$id).length + text.length + 2
}

/** The texts as they are, as one JSON object, which SQLite takes apart without a change. */
function jsonById(documents: readonly EncodedDocument[]): string {
  return `{${documents.map(({ document, text }) => `${JSON.stringify(document.$id)}:${text}`).join(',')}}`
}
