// Table snapshots: the current rows of a store as `r` events, a chunk at a time, while writes continue. Each chunk is read
// and appended in one transaction, so each row is as it was at its LSN, and folding the log by LSN gives the current state.

import { CDCError, reasonOf } from '../error.ts'
import type { AttachedStores } from './attached-stores.ts'
import type { OutboxTables } from '../outbox/tables.ts'
import type { AttachedStore } from '../store.ts'
import type { Transactions } from '../transaction/transactions.ts'

/** Rows of one chunk: the default and the limit. */
export const SNAPSHOT_CHUNK = 500
export const SNAPSHOT_CHUNK_MAX = 1_000
/** How long one alarm run reads chunks; the next alarm continues. */
const RUN_MS_MAX = 5_000
/** How soon it tries again if the outbox is full. */
const FULL_DELAY_MS = 1_000

/** The progress of a table snapshot. Times are ISO 8601, UTC. */
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

/** The part of the object's named alarms that the library itself uses. */
interface OwnAlarms {
  /** @returns what makes `run` due at a time, in milliseconds since 1970, also after a restart. */
  own(name: string, run: () => Promise<void>): { setAt(atMs: number): void; isSet(): boolean }
}

interface SnapshotsPorts {
  readonly storage: DurableObjectStorage
  readonly tables: OutboxTables
  readonly stores: AttachedStores
  readonly transactions: Transactions
  readonly now: () => number
  readonly alarms: OwnAlarms
}

export class Snapshots {
  readonly #ports: SnapshotsPorts
  readonly #alarm: ReturnType<OwnAlarms['own']>

  constructor(ports: SnapshotsPorts) {
    this.#ports = ports
    this.#alarm = ports.alarms.own('snapshot', () => this.#run())
  }

  /** Lets a running snapshot continue, whatever has become of its alarm (I6). */
  wake(): void {
    if (this.#next() !== undefined && !this.#alarm.isSet()) this.#alarm.setAt(this.#ports.now())
  }

  /** Makes a captured table known. */
  attach(store: AttachedStore): void {
    this.#ports.stores.attach(store)
  }

  /** Starts a snapshot; a running one continues. @throws {CDCError} `not-found` if there is no such store. */
  start(nameOrTable: string, chunk = SNAPSHOT_CHUNK): SnapshotProgress {
    const { storage, tables, now } = this.#ports
    const name = this.#resolve(nameOrTable)
    storage.transactionSync(() => {
      tables.open()
      if (this.#find(name)?.ended === 0) return
      this.#sql(
        `INSERT OR REPLACE INTO _cdc_snapshot (name, position, chunk, rows, started, ended, error) VALUES (?, NULL, ?, 0, ?, 0, NULL)`,
        name,
        chunk,
        now(),
      )
      this.#alarm.setAt(now())
    })
    const row = this.#find(name)
    if (row === undefined) throw new Error('snapshot: a snapshot that was started has a row')
    return describe(row)
  }

  /** The latest snapshot of each store. */
  list(): SnapshotProgress[] {
    return this.#sql<SnapshotRow>('SELECT * FROM _cdc_snapshot ORDER BY name').map(describe)
  }

  /** Continues the running snapshots; if that takes long, the next alarm continues. */
  async #run(): Promise<void> {
    const { storage, tables, now } = this.#ports
    tables.open()
    const endMs = now() + RUN_MS_MAX
    for (let row = this.#next(); row !== undefined; row = this.#next()) {
      if (now() >= endMs) return this.#alarm.setAt(now())
      try {
        this.#takeChunk(row)
      } catch (error) {
        if (error instanceof CDCError && error.code === 'outbox-full') return this.#alarm.setAt(now() + FULL_DELAY_MS)
        this.#end(row, reasonOf(error))
      }
      // Lets other requests run, and waits for the disk.
      await storage.sync()
    }
  }

  #takeChunk({ name, position, chunk }: SnapshotRow): void {
    const { stores, transactions, now } = this.#ports
    transactions.transactionSync((tx) => {
      const store = stores.get(name)
      if (store === undefined) throw new CDCError('not-found', `snapshot: the object no longer has a store ${name}`)
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
    this.#sql('UPDATE _cdc_snapshot SET ended = ?, error = ? WHERE name = ?', this.#ports.now(), error, name)
  }

  #next(): SnapshotRow | undefined {
    return this.#sql<SnapshotRow>('SELECT * FROM _cdc_snapshot WHERE ended = 0 ORDER BY started, name LIMIT 1')[0]
  }

  #find(name: string): SnapshotRow | undefined {
    return this.#sql<SnapshotRow>('SELECT * FROM _cdc_snapshot WHERE name = ?', name)[0]
  }

  /** The full name of a store, from that name or from its table, if only one store has a table of that name. */
  #resolve(nameOrTable: string): string {
    const names = this.#ports.stores.names()
    if (names.includes(nameOrTable)) return nameOrTable
    const found = names.filter((name) => name.slice(name.indexOf('/') + 1) === nameOrTable)
    const [only, ...others] = found
    if (only !== undefined && others.length === 0) return only
    throw new CDCError(
      'not-found',
      `snapshot: ${found.length === 0 ? 'there is no store' : 'more than one store has the table'} ${nameOrTable}; ` +
        `the stores are: ${names.join(', ') || 'none'}`,
    )
  }

  #sql<Row extends Record<string, SqlStorageValue>>(statement: string, ...params: SqlStorageValue[]): Row[] {
    return this.#ports.storage.sql.exec<Row>(statement, ...params).toArray()
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
