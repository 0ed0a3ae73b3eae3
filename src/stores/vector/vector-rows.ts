// The statements on a vector store's tables.

import type { StoreSQL } from '../../store.ts'
import { pieces } from '../pieces.ts'
import { Block, rowsPerBlock } from './block.ts'
import type { Clause } from './filter.ts'

/** A document as its row holds it. */
export interface VectorRow {
  readonly id: string
  /** JSON. */
  readonly metadata: string
  readonly contentHash: string
  readonly content: string
  readonly embedding: Float32Array
}

/** The part of a row that events hold. */
export type VectorFacts = Pick<VectorRow, 'id' | 'metadata' | 'contentHash'>

const FACTS = 'id, metadata, content_hash AS contentHash'

/** What one statement inserts: a value of SQLite holds 2 MB, and a character in JSON takes up to 6 bytes. */
const STATEMENT_EMBEDDING_BYTES_MAX = 1_000_000
const STATEMENT_CHARACTERS_MAX = 300_000
/** Characters of a row's JSON beside its texts. */
const ROW_CHARACTERS = 64
/** As many of the longest ids fit into one value of SQLite. */
const IDS_PER_STATEMENT = 256

export class VectorRows {
  readonly #sql: StoreSQL
  readonly #table: string
  readonly #markTable: string
  readonly #dimension: number

  constructor(sql: StoreSQL, table: string, dimension: number) {
    this.#sql = sql
    this.#table = rowTable(table)
    this.#markTable = markTable(table)
    this.#dimension = dimension
  }

  static createTables(sql: SqlStorage, table: string): void {
    // WITHOUT ROWID, because an index on the text key would be a second billed row for each document. The embedding comes
    // last, so that a filter reads only what is before it.
    sql.exec(`CREATE TABLE IF NOT EXISTS ${rowTable(table)} (id TEXT PRIMARY KEY, metadata TEXT NOT NULL,
      content_hash TEXT NOT NULL, content TEXT NOT NULL, embedding BLOB NOT NULL) WITHOUT ROWID`)
    sql.exec(
      `CREATE TABLE IF NOT EXISTS ${markTable(table)} (id INTEGER PRIMARY KEY CHECK (id = 0), mark TEXT NOT NULL)`,
    )
    sql.exec(`INSERT OR IGNORE INTO ${markTable(table)} VALUES (0, hex(randomblob(8)))`)
  }

  /** Numbers in each stored embedding, if there is any. */
  storedDimension(): number | undefined {
    const [row] = this.#sql
      .exec<{ bytes: number }>(`SELECT length(embedding) AS bytes FROM ${this.#table} LIMIT 1`)
      .toArray()
    return row && row.bytes / Float32Array.BYTES_PER_ELEMENT
  }

  /** Fails as SQLite does if the id is taken. */
  insert({ id, metadata, contentHash, content, embedding }: VectorRow): void {
    this.#sql.exec(`INSERT INTO ${this.#table} VALUES (?, ?, ?, ?, ?)`, id, metadata, contentHash, content, embedding)
  }

  /** Fails as SQLite does if an id is taken. The rows inserted before are for the transaction to roll back. */
  insertBatch(rows: readonly VectorRow[]): void {
    const together = pieces(rows, {
      maxItems: Math.floor(STATEMENT_EMBEDDING_BYTES_MAX / (this.#dimension * Float32Array.BYTES_PER_ELEMENT)),
      maxCharacters: STATEMENT_CHARACTERS_MAX,
      charactersOf: ({ id, metadata, content }) => id.length + metadata.length + content.length + ROW_CHARACTERS,
    })
    for (const piece of together) this.#insertPiece(piece)
  }

  /** One of these ids that the table already has, if there is one. */
  findTaken(ids: readonly string[]): string | undefined {
    for (const [id] of this.#select<[string]>('id', ids)) return id
    return undefined
  }

  find(id: string): VectorRow | undefined {
    const [row] = this.#sql
      .exec<Stored<VectorRow>>(`SELECT ${FACTS}, content, embedding FROM ${this.#table} WHERE id = ?`, id)
      .toArray()
    return row && { ...row, embedding: new Float32Array(row.embedding) }
  }

  /** The present row of the same id, and whether it is the same. */
  compare({ id, metadata, content, embedding }: VectorRow): (VectorFacts & { readonly isSame: boolean }) | undefined {
    const [row] = this.#sql
      .exec<Stored<VectorFacts> & { same: number }>(
        `SELECT ${FACTS}, metadata = ? AND content = ? AND embedding = ? AS same FROM ${this.#table} WHERE id = ?`,
        metadata,
        content,
        embedding,
        id,
      )
      .toArray()
    return row && { ...row, isSame: row.same === 1 }
  }

  replace({ id, metadata, contentHash, content, embedding }: VectorRow): void {
    this.#sql.exec(
      `UPDATE ${this.#table} SET metadata = ?, content_hash = ?, content = ?, embedding = ? WHERE id = ?`,
      metadata,
      contentHash,
      content,
      embedding,
      id,
    )
  }

  /** @returns what was deleted, if there was anything. */
  delete(id: string): VectorFacts | undefined {
    return this.#sql
      .exec<Stored<VectorFacts>>(`DELETE FROM ${this.#table} WHERE id = ? RETURNING ${FACTS}`, id)
      .toArray()[0]
  }

  /** Rows in the order of their ids, after one of them. */
  facts(after: string, maxRows: number): VectorFacts[] {
    return this.#sql
      .exec<Stored<VectorFacts>>(`SELECT ${FACTS} FROM ${this.#table} WHERE id > ? ORDER BY id LIMIT ?`, after, maxRows)
      .toArray()
  }

  /** Content and metadata (JSON) of documents, in no particular order. */
  texts(ids: readonly string[]): Iterable<[id: string, content: string, metadata: string]> {
    return this.#select('id, content, metadata', ids)
  }

  embeddings(ids: readonly string[]): Map<string, Float32Array> {
    const rows = this.#select<[string, ArrayBuffer]>('id, embedding', ids)
    return new Map(Array.from(rows, ([id, embedding]) => [id, new Float32Array(embedding)]))
  }

  /** Every embedding whose document fulfils a clause, block by block. */
  *blocks({ sql, params }: Clause = { sql: '', params: [] }): Generator<Block, void> {
    const maxRows = rowsPerBlock(this.#dimension)
    // One row for each block, which is three times as fast as one for each embedding. SQLite concatenates only texts; as a
    // text, a BLOB keeps its bytes.
    const select = `SELECT json_group_array(id) AS ids, CAST(group_concat(embedding, '') AS BLOB) AS embeddings
      FROM (SELECT id, embedding FROM ${this.#table} WHERE id > ? ${sql} ORDER BY id LIMIT ?)`
    let after: string | undefined = ''
    while (after !== undefined) {
      const row: { ids: string; embeddings: ArrayBuffer | null } = this.#sql
        .exec<{ ids: string; embeddings: ArrayBuffer | null }>(select, after, ...params, maxRows)
        .one()
      const ids = JSON.parse(row.ids) as string[]
      const embeddings = new Float32Array(row.embeddings ?? [])
      if (embeddings.length !== ids.length * this.#dimension)
        throw new Error(`${this.#table}: ${ids.length} embeddings have ${embeddings.length} numbers`)
      if (ids.length > 0) yield new Block(this.#dimension, ids, embeddings)
      after = ids.length < maxRows ? undefined : ids.at(-1)
    }
  }

  mark(): string {
    return this.#sql.exec<{ mark: string }>(`SELECT mark FROM ${this.#markTable}`).one().mark
  }

  /** Sets the mark to a value that it never had. */
  changeMark(): string {
    return this.#sql
      .exec<{ mark: string }>(`UPDATE ${this.#markTable} SET mark = hex(randomblob(8)) RETURNING mark`)
      .one().mark
  }

  *#select<Row extends SqlStorageValue[]>(columns: string, ids: readonly string[]): Generator<Row, void> {
    const statement = `SELECT ${columns} FROM ${this.#table} WHERE id IN (SELECT value FROM json_each(?))`
    for (const piece of pieces(ids, { maxItems: IDS_PER_STATEMENT }))
      yield* this.#sql.exec(statement, JSON.stringify(piece)).raw<Row>()
  }

  #insertPiece(rows: readonly VectorRow[]): void {
    const [only] = rows
    // A row that is too large for a statement with others is bound as it is.
    if (only !== undefined && rows.length === 1) return this.insert(only)
    const bytes = this.#dimension * Float32Array.BYTES_PER_ELEMENT
    const embeddings = new Float32Array(rows.length * this.#dimension)
    rows.forEach((row, index) => embeddings.set(row.embedding, index * this.#dimension))
    const texts = rows.map(
      ({ id, metadata, contentHash, content }) =>
        `[${JSON.stringify(id)},${metadata},"${contentHash}",${JSON.stringify(content)}]`,
    )
    this.#sql.exec(
      `INSERT INTO ${this.#table} SELECT value ->> 0, value -> 1, value ->> 2, value ->> 3, substr(?2, key * ${bytes} + 1, ${bytes})
        FROM json_each(?1)`,
      `[${texts.join(',')}]`,
      embeddings,
    )
  }
}

/** A row as SQLite returns it. */
type Stored<Row> = { [Column in keyof Row]: Row[Column] extends Float32Array ? ArrayBuffer : Row[Column] }

function rowTable(table: string): string {
  return `"vector_${table}"`
}

/** With a character that no store's name has. */
function markTable(table: string): string {
  return `"vector_${table}$mark"`
}
