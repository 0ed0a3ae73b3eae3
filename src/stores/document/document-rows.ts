// The rows of a store: all SQL on its table. Whoever calls it is in a transaction, and emits the events.

import type { StoreSQL } from '../../store.ts'
import { CDCError } from '../../error.ts'
import { Budget, chunks } from './budget.ts'
import { quoteName } from '../../sqlite/quote.ts'
import { type Columns, Parameters } from './columns.ts'
import { decodeDocument, type EncodedDocument } from './document.ts'
import { BATCH_CHARACTERS_MAX, DOCUMENTS_PER_BATCH_MAX, PAGE_CHARACTERS_MAX } from './limits.ts'
import { type DocumentQuery, planPage } from './query.ts'
import { WhereCompiler } from './where.ts'

/** A document as the table has it. */
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
      throw this.#insertError([document.$id], caller, error)
    }
  }

  /** @throws {CDCError} `already-exists`. */
  insertMany(documents: readonly EncodedDocument[], caller: string): void {
    for (const chunk of chunks(documents, charactersOf))
      try {
        this.#sql.exec(`INSERT INTO ${this.#table} SELECT key, value FROM json_each(?)`, jsonById(chunk))
      } catch (error) {
        throw this.#insertError(
          chunk.map(({ document }) => document.$id),
          caller,
          error,
        )
      }
  }

  update({ document, text }: EncodedDocument): void {
    this.#sql.exec(`UPDATE ${this.#table} SET document = ? WHERE id = ?`, text, document.$id)
  }

  updateMany(documents: readonly EncodedDocument[]): void {
    const statement = `UPDATE ${this.#table} SET document = value FROM json_each(?) WHERE ${this.#table}.id = key`
    for (const chunk of chunks(documents, charactersOf)) this.#sql.exec(statement, jsonById(chunk))
  }

  /** @returns the text of the document that is gone; nothing where there was none, or only of another version. */
  delete($id: string, $version?: number): string | undefined {
    const isOfVersion = $version === undefined ? '' : `AND document ->> '$."$version"' = ?`
    const statement = `DELETE FROM ${this.#table} WHERE id = ? ${isOfVersion} RETURNING document`
    const [row] = this.#sql.exec<Row>(statement, ...($version === undefined ? [$id] : [$id, $version])).toArray()
    return row?.document
  }

  deleteMany(ids: readonly string[]): void {
    for (const chunk of chunks(ids, ($id) => $id.length))
      this.#sql.exec(`DELETE FROM ${this.#table} WHERE id IN (SELECT value FROM json_each(?))`, JSON.stringify(chunk))
  }

  /**
   * All documents that a filter lets through, as a batch is to change them.
   *
   * @throws {CDCError} `invalid-argument` where they are too many, or too large together.
   */
  match(where: unknown, caller: string): Row[] {
    const parameters = new Parameters()
    const filter = new WhereCompiler(this.#columns, parameters, caller).compile(where)
    const rows = this.#sql.exec<Row>(
      `SELECT id, document FROM ${this.#table} WHERE ${filter} LIMIT ${DOCUMENTS_PER_BATCH_MAX + 1}`,
      ...parameters.values,
    )
    const matches = within(batchBudget(caller), rows)
    checkBatch(matches.length, caller)
    return matches
  }

  /** The documents of one page, as their texts. */
  page<T>(query: DocumentQuery<T>, caller: string): string[] {
    const { parts, parameters, limit, offset } = planPage(query, this.#columns, caller)
    const bounds = `LIMIT ?${parameters.values.length + 1} OFFSET ?${parameters.values.length + 2}`
    const budget = pageBudget(caller)
    const rows: Row[] = []
    for (const part of parts) {
      if (rows.length === limit) break
      const statement = `SELECT document FROM ${this.#table} ${part} ${bounds}`
      const found = this.#sql.exec<Row>(statement, ...parameters.values, limit - rows.length, offset)
      rows.push(...within(budget, found))
    }
    return rows.map((row) => row.document)
  }

  count(where: unknown, caller: string): number {
    const parameters = new Parameters()
    const filter = new WhereCompiler(this.#columns, parameters, caller).compile(where)
    return this.#sql
      .exec<{ count: number }>(`SELECT count(*) AS count FROM ${this.#table} WHERE ${filter}`, ...parameters.values)
      .one().count
  }

  /** The rows after an id, at least one if there is any, and few enough to be held at once. */
  next(after: string, maxRows: number): { rows: Row[]; isLast: boolean } {
    const statement = `SELECT id, document FROM ${this.#table} WHERE id > ? ORDER BY id LIMIT ?`
    const rows: Row[] = []
    let characters = 0
    for (const row of this.#sql.exec<Row>(statement, after, maxRows + 1)) {
      characters += row.document.length
      const isFull = rows.length === maxRows || characters > PAGE_CHARACTERS_MAX
      if (isFull && rows.length > 0) return { rows, isLast: false }
      rows.push(row)
    }
    return { rows, isLast: true }
  }

  /** What an INSERT's failure means. Only where one fails it is looked for what stands in its way. */
  #insertError(ids: readonly string[], caller: string, cause: unknown): unknown {
    const seen = new Set<string>()
    const taken = ids.find(($id) => seen.size === seen.add($id).size) ?? ids.find(($id) => this.find($id) !== undefined)
    if (taken === undefined) return cause
    return new CDCError(
      'already-exists',
      `${caller}: there is a document ${taken} already; update it instead, or upsert it`,
      { cause },
    )
  }
}

/** @throws {CDCError} `invalid-argument` for more documents than one call may change. */
export function checkBatch(documents: number, caller: string): void {
  if (documents > DOCUMENTS_PER_BATCH_MAX)
    throw new CDCError(
      'invalid-argument',
      `${caller}: more than ${DOCUMENTS_PER_BATCH_MAX} documents, the limit of one call; take fewer at a time, such as ` +
        'those of a page: { $id: { $in: ids } }',
    )
}

/** What the documents of a batch may hold together. */
export function batchBudget(caller: string): Budget {
  return new Budget(
    BATCH_CHARACTERS_MAX,
    () =>
      new CDCError(
        'invalid-argument',
        `${caller}: the documents hold more than ${BATCH_CHARACTERS_MAX} characters of JSON together; take fewer at a time`,
      ),
  )
}

function pageBudget(caller: string): Budget {
  return new Budget(
    PAGE_CHARACTERS_MAX,
    () =>
      new CDCError(
        'invalid-argument',
        `${caller}: the page holds more than ${PAGE_CHARACTERS_MAX} characters of JSON; take a lower limit`,
      ),
  )
}

function within(budget: Budget, rows: Iterable<Row>): Row[] {
  return Array.from(rows, (row) => {
    budget.take(row.document)
    return row
  })
}

function charactersOf({ document, text }: EncodedDocument): number {
  return document.$id.length + text.length
}

/** The texts as they are, as one JSON object, which SQLite takes apart without a change. */
function jsonById(documents: readonly EncodedDocument[]): string {
  return `{${documents.map(({ document, text }) => `${JSON.stringify(document.$id)}:${text}`).join(',')}}`
}
