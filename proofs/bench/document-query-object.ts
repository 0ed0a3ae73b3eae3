// The object whose queries are counted: as many documents as an object may well hold, found through their indexes.

import { CDCDurableObject, type CDCOptions, DocumentStore } from 'durable-outbox'
import type { DocumentQuery } from 'durable-outbox/stores'
import { RowMeter } from './row-meter.ts'

interface Film {
  title: string
  year: number
  rating: number
  studio: { name: string; country: string }
}

/** What one query found, and what SQLite read for it. */
export interface QueryCost {
  query: string
  documents: number
  rowsRead: number
}

/** Longer than the figure takes: the alarm must not run while rows are counted. */
const NEVER_MS = 3_600_000
const DOCUMENTS_PER_CALL = 1_000

export class DocumentQueryObject extends CDCDurableObject {
  readonly #films = new DocumentStore<Film>(this.ctx, 'Film', {
    indexes: ['year', 'rating', 'studio.name', 'studio.country'],
  })

  protected override configure(): CDCOptions {
    return { lingerMs: NEVER_MS }
  }

  fill(documents: number): void {
    for (let first = 0; first < documents; first += DOCUMENTS_PER_CALL)
      this.#films.createBatch(Array.from({ length: DOCUMENTS_PER_CALL }, (_, index) => filmOf(first + index)))
  }

  measure(): QueryCost[] {
    const meter = new RowMeter(this.ctx.storage)
    const middle = this.#films.query({ where: { 'studio.country': 'country 5' }, limit: 1_000 }).at(-1)
    const queries: DocumentQuery<Film>[] = [
      { where: { year: 1998 }, limit: 1_000 },
      { where: { year: { $in: [1925, 1988] } }, orderBy: 'year', limit: 100 },
      { where: { year: 1998, rating: { $ne: null } }, limit: 100 },
      { where: { 'studio.name': 'studio 77' } },
      { where: { 'studio.name': { $gte: 'studio 1', $lt: 'studio 2' } }, orderBy: 'studio.name' },
      { where: { $or: [{ 'studio.name': 'studio 7' }, { 'studio.name': 'studio 8' }] }, limit: 1_000 },
      { where: { rating: { $gte: 6.5, $lt: 7 } }, orderBy: '-rating', limit: 10 },
      { orderBy: '-rating', limit: 10 },
      { orderBy: 'studio.country', after: middle, limit: 100 },
      { orderBy: '-studio.country', after: middle, limit: 100 },
      { after: middle, limit: 100 },
    ]
    return queries.map((query) => {
      meter.takeRead()
      const documents = this.#films.query(query).length
      const { after, ...rest } = query
      const shown = JSON.stringify(after === undefined ? rest : { ...rest, after: '…' })
      return { query: shown, documents, rowsRead: meter.takeRead() }
    })
  }
}

function filmOf(index: number): Film {
  return {
    title: `Film ${index}`,
    year: 1920 + (index % 100),
    rating: ((index * 7_919) % 1_000) / 100,
    studio: { name: `studio ${index % 997}`, country: `country ${index % 10}` },
  }
}
