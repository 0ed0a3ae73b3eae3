import { type StoreContext, VectorStore } from 'durable-outbox'
import type { VectorDocument } from 'durable-outbox/stores'
import type { StoreLoad } from './load.ts'

const DIMENSION = 128
const BYTES = DIMENSION * Float32Array.BYTES_PER_ELEMENT
/** Any hash: computing it is a cost of the store. */
const HASH = '59b5bc03ee41f4273adbf819315c8df1'

interface Passage {
  title: string
  page: number
  [field: string]: unknown
}

export function vectorLoad(ctx: StoreContext): StoreLoad {
  const { sql } = ctx.storage
  const passages = new VectorStore<Passage>(ctx, 'passages', { dimension: DIMENSION })
  sql.exec(`CREATE TABLE IF NOT EXISTS bare_passages (id TEXT PRIMARY KEY, metadata TEXT NOT NULL,
    content_hash TEXT NOT NULL, content TEXT NOT NULL, embedding BLOB NOT NULL) WITHOUT ROWID`)

  return {
    bare: {
      single(index) {
        const { id, content, embedding, metadata } = passageOf(index)
        ctx.storage.transactionSync(() =>
          sql.exec(
            'INSERT INTO bare_passages VALUES (?, ?, ?, ?, ?)',
            id,
            JSON.stringify(metadata),
            HASH,
            content,
            embedding,
          ),
        )
      },
      batch(index, rows) {
        const documents = passagesOf(index, rows)
        const embeddings = new Float32Array(rows * DIMENSION)
        documents.forEach(({ embedding }, row) => embeddings.set(embedding, row * DIMENSION))
        const texts = documents.map(({ id, content, metadata }) => [id, metadata, HASH, content])
        ctx.storage.transactionSync(() =>
          sql.exec(
            `INSERT INTO bare_passages SELECT value ->> 0, value -> 1, value ->> 2, value ->> 3,
              substr(?2, key * ${BYTES} + 1, ${BYTES}) FROM json_each(?1)`,
            JSON.stringify(texts),
            embeddings,
          ),
        )
      },
    },
    captured: {
      single: (index) => passages.insert(passageOf(index)),
      batch: (index, rows) => passages.insertBatch(passagesOf(index, rows)),
    },
    clear: () => {
      sql.exec('DELETE FROM bare_passages')
      sql.exec('DELETE FROM vector_passages')
    },
  }
}

const embeddings = Array.from({ length: 100 }, (_, row) =>
  new Float32Array(DIMENSION).map((_, index) => Math.sin(row * DIMENSION + index)),
)

function passagesOf(index: number, rows: number): VectorDocument<Passage>[] {
  return Array.from({ length: rows }, (_, row) => passageOf(index + row))
}

function passageOf(index: number): VectorDocument<Passage> {
  return {
    id: `passage_${index}`,
    content: 'Call me Ishmael. Some years ago, never mind how long precisely, having little or no money in my purse, …',
    embedding: embeddings[index % embeddings.length] ?? [],
    metadata: { title: 'Moby-Dick', page: index % 600 },
  }
}
