// How these tests reach a store: in an object of its own, made by the test, with the log that it leaves behind.

import { env } from 'cloudflare:workers'
import { runInDurableObject } from 'cloudflare:test'
import type { ListedEvent } from 'durable-outbox'
import type { Stores } from '../../worker.ts'

let objects = 0

/** Runs code in an object that nothing was done to yet. */
export function inFreshObject<T>(run: (object: Stores) => T | Promise<T>): Promise<T> {
  return inObject(freshName(), run)
}

/** Nothing is sent meanwhile, so that no alarm goes off after the test. */
export function inObject<T>(name: string, run: (object: Stores) => T | Promise<T>): Promise<T> {
  return runInDurableObject<Stores, T>(env.STORES.getByName(name), (object) => {
    object.outbox.pause()
    return run(object)
  })
}

export function freshName(): string {
  return `document-store-${objects++}`
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

/** The statements that were run on the tables of document stores meanwhile. */
export function statementsOf({ ctx }: Stores, run: () => unknown): { query: string; rowsRead: number }[] {
  return watch(ctx.storage.sql, run).filter(({ query }) => query.includes('document_'))
}

/** Rows written meanwhile, as the platform bills them, those of the outbox among them. */
export function rowsWrittenBy({ ctx }: Stores, run: () => unknown): number {
  return watch(ctx.storage.sql, run).reduce((sum, { rowsWritten }) => sum + rowsWritten, 0)
}

function watch(sql: SqlStorage, run: () => unknown): { query: string; rowsRead: number; rowsWritten: number }[] {
  const exec = sql.exec.bind(sql)
  const statements: { query: string; rows: { rowsRead: number; rowsWritten: number } }[] = []
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
