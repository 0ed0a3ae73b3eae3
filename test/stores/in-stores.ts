// How these tests reach a store: in an object of its own, made by the test, with the log that it leaves behind.

import { env } from 'cloudflare:workers'
import { runInDurableObject } from 'cloudflare:test'
import type { AttachedStore, EventInput, ListedEvent } from 'durable-outbox'
import type { Stores } from '../worker.ts'

/** Runs code in an object that was never used before. */
export function inFreshObject<T>(run: (object: Stores) => T | Promise<T>): Promise<T> {
  return inObject(freshName(), run)
}

/** Runs code in the object of a name. Its outbox is paused, so that no alarm fires after the test. */
export function inObject<T>(name: string, run: (object: Stores) => T | Promise<T>): Promise<T> {
  return runInDurableObject<Stores, T>(env.STORES.getByName(name), (object) => {
    object.outbox.pause()
    return run(object)
  })
}

export function freshName(): string {
  return crypto.randomUUID()
}

/** The whole log, in the order of LSNs. */
export function logOf({ outbox }: Stores): ListedEvent[] {
  const events: ListedEvent[] = []
  for (let from: number | undefined = 1; from !== undefined;) {
    const page: { items: ListedEvent[]; nextLSN?: number } = outbox.list({ from, limit: 1_000 })
    events.push(...page.items)
    from = page.nextLSN
  }
  return events
}

/** The rows of a store, as a snapshot reads them in pages; all of them, or those after a place. */
export function snapshotOf(store: AttachedStore, maxRows: number, place?: string): EventInput[] {
  const events: EventInput[] = []
  let after = place
  for (let pages = 0; pages < 1_000; pages += 1) {
    const page = store.readRows(after, maxRows)
    if (page.events.length > maxRows) throw new Error(`${store.name}: a page has ${page.events.length} rows`)
    events.push(...page.events)
    if (page.next === undefined) return events
    after = page.next
  }
  throw new Error(`${store.name}: the snapshot does not end`)
}

interface Statement {
  readonly query: string
  readonly rowsRead: number
  readonly rowsWritten: number
}

/** The statements of stores that code runs, without those of the outbox. Rows are counted as the platform bills them. */
export function statementsOf(object: Stores, run: () => unknown): Statement[] {
  return watch(object, run).filter(({ query }) => !query.includes('_cdc_'))
}

/** Rows that stores read. */
export function rowsReadBy(object: Stores, run: () => unknown): number {
  return statementsOf(object, run).reduce((sum, { rowsRead }) => sum + rowsRead, 0)
}

/** Rows that are written, including those of the outbox. */
export function rowsWrittenBy(object: Stores, run: () => unknown): number {
  return watch(object, run).reduce((sum, { rowsWritten }) => sum + rowsWritten, 0)
}

function watch({ ctx }: Stores, run: () => unknown): Statement[] {
  const { sql } = ctx.storage
  const exec = sql.exec.bind(sql)
  const statements: { query: string; rows: Omit<Statement, 'query'> }[] = []
  sql.exec = <Row extends Record<string, SqlStorageValue>>(query: string, ...bindings: unknown[]) => {
    const rows = exec<Row>(query, ...bindings)
    statements.push({ query, rows })
    return rows
  }
  try {
    run()
  } finally {
    sql.exec = exec
  }
  return statements.map(({ query, rows: { rowsRead, rowsWritten } }) => ({ query, rowsRead, rowsWritten }))
}
