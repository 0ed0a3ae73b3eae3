import { GraphStore, type StoreContext } from 'durable-outbox'
import type { Relationship } from 'durable-outbox/stores'
import type { StoreLoad } from './load.ts'

interface Rating {
  stars: number
  genre: string
}

export function graphLoad(ctx: StoreContext): StoreLoad {
  const { sql } = ctx.storage
  const ratings = new GraphStore<object, Rating>(ctx, 'Ratings')
  sql.exec(
    `CREATE TABLE IF NOT EXISTS bare_rating
      (from_id TEXT, type TEXT, to_id TEXT, data TEXT NOT NULL, PRIMARY KEY (from_id, type, to_id)) WITHOUT ROWID`,
  )
  sql.exec('CREATE INDEX IF NOT EXISTS bare_rating_incoming ON bare_rating (to_id, type, from_id)')

  return {
    bare: {
      single: (index) =>
        ctx.storage.transactionSync(() => {
          const { from, type, to, data } = ratingOf(index)
          sql.exec('INSERT INTO bare_rating VALUES (?, ?, ?, ?)', from, type, to, JSON.stringify(data))
        }),
      batch: (index, rows) =>
        ctx.storage.transactionSync(() =>
          sql.exec(
            `INSERT INTO bare_rating
              SELECT value ->> 'from', value ->> 'type', value ->> 'to', value -> 'data' FROM json_each(?)`,
            JSON.stringify(ratingsFrom(index, rows)),
          ),
        ),
    },
    captured: {
      single: (index) => void ratings.relate(ratingOf(index)),
      batch: (index, rows) => void ratings.relateBatch(ratingsFrom(index, rows)),
    },
    clear: () => {
      sql.exec('DELETE FROM bare_rating')
      sql.exec('DELETE FROM graph_Ratings_relationships')
    },
  }
}

function ratingsFrom(index: number, rows: number): Relationship<Rating>[] {
  return Array.from({ length: rows }, (_, row) => ratingOf(index + row))
}

function ratingOf(index: number): Relationship<Rating> {
  return {
    from: `User/${index % 1_000}`,
    to: `Film/${index}`,
    type: 'rated',
    data: { stars: (index % 9) / 2 + 1, genre: 'Comedy' },
  }
}
