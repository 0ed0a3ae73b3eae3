import { DocumentStore, type StoreContext } from 'durable-outbox'
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

  function insert(index: number): void {
    const now = new Date().toISOString()
    const document = { ...filmOf(index), $version: 1, $createdAt: now, $updatedAt: now }
    sql.exec('INSERT INTO bare_film VALUES (?, ?)', document.$id, JSON.stringify(document))
  }

  return {
    bare: {
      single: (index) => ctx.storage.transactionSync(() => insert(index)),
      batch: (index, rows) =>
        ctx.storage.transactionSync(() => {
          for (let row = 0; row < rows; row += 1) insert(index + row)
        }),
    },
    captured: {
      single: (index) => void films.create(filmOf(index)),
      batch: (index, rows) =>
        ctx.transactionSync(() => {
          for (let row = 0; row < rows; row += 1) films.create(filmOf(index + row))
        }),
    },
    clear: () => {
      sql.exec('DELETE FROM bare_film')
      sql.exec('DELETE FROM document_Film')
    },
  }
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
