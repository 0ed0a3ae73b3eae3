import { DocumentStore, type StoreContext } from 'durable-outbox'
import type { Document } from 'durable-outbox/stores'
import type { StoreLoad } from './load.ts'

interface Film {
  title: string
  director: string
  gross: number
  rating: number
}

export function documentLoad(ctx: StoreContext): StoreLoad {
  const { sql } = ctx.storage
  const films = new DocumentStore<Film>(ctx, 'Film')
  sql.exec('CREATE TABLE IF NOT EXISTS bare_film (id TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID')

  return {
    bare: {
      single: (index) =>
        ctx.storage.transactionSync(() => {
          const document = documentOf(index, new Date().toISOString())
          sql.exec('INSERT INTO bare_film VALUES (?, ?)', document.$id, JSON.stringify(document))
        }),
      batch: (index, rows) =>
        ctx.storage.transactionSync(() => {
          const now = new Date().toISOString()
          const documents = indexes(index, rows).map((each) => documentOf(each, now))
          const members = documents.map((document) => `"${document.$id}":${JSON.stringify(document)}`)
          sql.exec('INSERT INTO bare_film SELECT key, value FROM json_each(?)', `{${members.join(',')}}`)
        }),
    },
    captured: {
      single: (index) => void films.create(filmOf(index)),
      batch: (index, rows) => void films.createBatch(indexes(index, rows).map(filmOf)),
    },
    clear: () => {
      sql.exec('DELETE FROM bare_film')
      sql.exec('DELETE FROM document_Film')
    },
  }
}

function indexes(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => first + index)
}

function filmOf(index: number): Film & { $id: string } {
  return {
    $id: `film_${index}`,
    title: 'The Land Girls',
    director: 'David Leland',
    gross: 146_083 + index,
    rating: 6.1,
  }
}

/** A film as the store keeps it. */
function documentOf(index: number, now: string): Document<Film> {
  return { ...filmOf(index), $version: 1, $createdAt: now, $updatedAt: now }
}
