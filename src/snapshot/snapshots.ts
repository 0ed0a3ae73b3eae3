// Snapshots: the present rows of a store as `r` events, a chunk at a time, while writes go on. Each chunk is read and
// appended in one transaction, so that every row is as it was at the LSN that it got: who folds the log by LSN is right.

import { CDCError, messageOf } from '../error.ts'
import type { AttachedStores } from './attached-stores.ts'
import type { SyncResult } from '../transaction/transactions.ts'
import type { Transaction } from '../transaction/transaction.ts'

/** Rows of one chunk, if nothing else is said, and at most. */
export const SNAPSHOT_CHUNK = 500
export const SNAPSHOT_CHUNK_MAX = 1_000
/** How long one alarm goes on with chunks before the next one does. */
const RUN_MS_MAX = 5_000
/** How soon it is tried again where the outbox is full. */
const FULL_DELAY_MS = 1_000

/** How far a snapshot has come. Times are ISO 8601, UTC. */
export interface SnapshotProgress {
  /** `<kind>/<table>`. */
  name: string
  rows: number
  startedAt: string
  /** Once it has ended, with all rows or with an error. */
  endedAt?: string
  error?: string
}

type SnapshotRow = {
  name: string
  position: string | null
  chunk: number
  rows: number
  started: number
  ended: number
  error: string | null
}

export interface SnapshotsParts {
  readonly storage: DurableObjectStorage
  readonly stores: AttachedStores
  readonly now: () => number
  readonly transactionSync: <T>(callback: (tx: Transaction) => SyncResult<T>) => T
  /** Makes the tables where they are not there, as after `deleteAll`. */
  readonly openTables: () => void
  /** Has `run` called at a time, in milliseconds since 1970, whatever becomes of the runtime until then. */
  readonly wakeAt: (atMs: number) => void
}

export class Snapshots {
  readonly #parts: SnapshotsParts

  constructor(parts: SnapshotsParts) {
    this.#parts = parts
  }

  /** Begins a snapshot. One that is going on goes on. @throws {CDCError} `not-found` where there is no such store. */
  start(nameOrTable: string, chunk: number): SnapshotProgress {
    const { storage, now, openTables, wakeAt } = this.#parts
    const name = this.#resolve(nameOrTable)
    storage.transactionSync(() => {
      openTables()
      if (this.#find(name)?.ended === 0) return
      this.#sql(
        `INSERT OR REPLACE INTO _cdc_snapshot (name, position, chunk, rows, started, ended, error) VALUES (?, NULL, ?, 0, ?, 0, NULL)`,
        name,
        chunk,
        now(),
      )
      wakeAt(now())
    })
    const row = this.#find(name)
    if (row === undefined) throw new Error('snapshot: what was begun is noted')
    return describe(row)
  }

  /** All that were ever begun, the latest of each store. */
  list(): SnapshotProgress[] {
    return this.#sql<SnapshotRow>('SELECT * FROM _cdc_snapshot ORDER BY name').map(describe)
  }

  /** Goes on with what is going on, and comes back if that takes long. */
  async run(): Promise<void> {
    const { storage, now, openTables, wakeAt } = this.#parts
    openTables()
    const endMs = now() + RUN_MS_MAX
    for (let row = this.#next(); row !== undefined; row = this.#next()) {
      if (now() >= endMs) return wakeAt(now())
      try {
        this.#takeChunk(row)
      } catch (error) {
        if (error instanceof CDCError && error.code === 'outbox-full') return wakeAt(now() + FULL_DELAY_MS)
        this.#end(row, messageOf(error))
      }
      // Lets other requests in, and waits for the disk.
      await storage.sync()
    }
  }

  #takeChunk({ name, position, chunk }: SnapshotRow): void {
    const { stores, transactionSync, now } = this.#parts
    transactionSync((tx) => {
      const store = stores.get(name)
      if (store === undefined) throw new CDCError('not-found', `snapshot: the object has no store ${name} any more`)
      const { events, next } = store.readRows(position ?? undefined, chunk)
      tx.emitBatch(events)
      this.#sql(
        'UPDATE _cdc_snapshot SET position = ?, rows = rows + ?, ended = ? WHERE name = ?',
        next ?? null,
        events.length,
        next === undefined ? now() : 0,
        name,
      )
    })
  }

  #end({ name }: SnapshotRow, error: string): void {
    this.#sql('UPDATE _cdc_snapshot SET ended = ?, error = ? WHERE name = ?', this.#parts.now(), error, name)
  }

  #next(): SnapshotRow | undefined {
    return this.#sql<SnapshotRow>('SELECT * FROM _cdc_snapshot WHERE ended = 0 ORDER BY started, name LIMIT 1')[0]
  }

  #find(name: string): SnapshotRow | undefined {
    return this.#sql<SnapshotRow>('SELECT * FROM _cdc_snapshot WHERE name = ?', name)[0]
  }

  /** The full name of a store that is given by it, or by its table alone where only one store has that. */
  #resolve(nameOrTable: string): string {
    const names = this.#parts.stores.names()
    if (names.includes(nameOrTable)) return nameOrTable
    const found = names.filter((name) => name.slice(name.indexOf('/') + 1) === nameOrTable)
    const [only, ...others] = found
    if (only !== undefined && others.length === 0) return only
    throw new CDCError(
      'not-found',
      `snapshot: ${found.length === 0 ? 'there is no store' : 'more than one store has the table'} ${nameOrTable}; ` +
        `there are ${names.join(', ') || 'none'}`,
    )
  }

  #sql<Row extends Record<string, SqlStorageValue>>(statement: string, ...params: SqlStorageValue[]): Row[] {
    return this.#parts.storage.sql.exec<Row>(statement, ...params).toArray()
  }
}

function describe({ name, rows, started, ended, error }: SnapshotRow): SnapshotProgress {
  return {
    name,
    rows,
    startedAt: new Date(started).toISOString(),
    ...(ended > 0 && { endedAt: new Date(ended).toISOString() }),
    ...(error !== null && { error }),
  }
}
