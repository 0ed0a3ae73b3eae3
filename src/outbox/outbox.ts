// Where committed events wait: the only code that touches the _cdc_* tables. Keeps I2 (LSNs without a gap), the
// storage half of I3 and I4, and I9. The log reads like a write-ahead log: one row is one committed transaction.

import * as z from 'zod'
import { CDCError } from '../error.ts'
import type { EncodedEvent, EventContent } from '../event/create-event.ts'
import { type EventRecord, toRecord } from '../event/record.ts'
import { type CommittedEvent, SCHEMA_VERSION } from '../event/unified-event.ts'
import { migrate } from '../sqlite/migrate.ts'
import { decideEpoch, type Identity, type Owner } from './identity.ts'
import { ROW_BYTES_MAX, ROW_EVENTS_MAX } from './limits.ts'
import { migrations } from './migrations.generated.ts'

/** The events of one transaction, ready to be written with it. */
export interface OutboxTransaction {
  readonly txid: string
  readonly timeMs: number
  readonly events: readonly EncodedEvent[]
}

/** What bounds a batch. It always holds at least one row. */
export interface BatchLimits {
  readonly batchEventsMax: number
  readonly batchBytesMax: number
}

/** A range of the log on its way to the pipeline. A retry has the same range, key and records, but for `retries`. */
export interface Batch {
  readonly firstLSN: number
  readonly lastLSN: number
  /** Idempotency key: `<ns>/<source>/<epoch>/<first lsn>-<last lsn>`. */
  readonly key: string
  /** How often it was sent before. */
  readonly retries: number
  readonly records: EventRecord[]
}

type OutboxRow = { lsn: number; count: number; bytes: number; txid: string; time: number; events: string }

interface OutboxState extends Identity {
  readonly object: string | null
  readonly ackedLSN: number
  readonly batchLSN: number
  readonly batchAttempts: number
}

const utf8 = new TextEncoder()

export class Outbox {
  readonly #storage: DurableObjectStorage
  readonly #owner: Owner
  readonly #createEpoch: () => string
  #envelopeBytes = 0

  /** Brings the tables up to date and settles the epoch. */
  constructor(storage: DurableObjectStorage, owner: Owner, createEpoch: () => string) {
    this.#storage = storage
    this.#owner = owner
    this.#createEpoch = createEpoch
    this.#open()
  }

  /** The identity under which the next event is written. */
  get identity(): Identity {
    const { ns, source, epoch } = this.#state()
    return { ns, source, epoch }
  }

  /** How many events wait for the pipeline to accept them. Reads two rows, however many there are. */
  get pendingEvents(): number {
    if (!this.#exists()) return 0
    const { ackedLSN, lastLSN } = this.#position()
    return lastLSN - ackedLSN
  }

  /**
   * Writes a transaction's events, as part of the SQLite transaction that is open.
   *
   * @returns whether nothing was pending before: then no alarm is due, and the caller sets one in the same transaction.
   */
  append(transaction: OutboxTransaction): { wasIdle: boolean } {
    try {
      return this.#appendRows(transaction)
    } catch (error) {
      if (this.#exists()) throw error
      // Somebody emptied the storage under the living object. A new life begins, with its own epoch.
      this.#open()
      return this.#appendRows(transaction)
    }
  }

  /**
   * Takes the batch that is to be sent now and notes the attempt: the one in flight if there is one, else the next
   * rows within the limits. Costs one row written, however large the batch is.
   */
  takeBatch(limits: BatchLimits): Batch | undefined {
    if (!this.#exists()) return undefined
    return this.#storage.transactionSync(() => {
      const state = this.#state()
      const isRetry = state.batchLSN > state.ackedLSN
      const rows = isRetry ? this.#rows(state.ackedLSN, state.batchLSN) : this.#nextRows(state.ackedLSN, limits)
      const lastLSN = rows.at(-1)?.lsn
      if (lastLSN === undefined) return undefined
      const retries = isRetry ? state.batchAttempts : 0
      this.#storage.sql.exec('UPDATE _cdc_state SET batch_lsn = ?, batch_attempts = ?', lastLSN, retries + 1)
      return createBatch(state, rows, retries)
    })
  }

  /** Notes that the pipeline accepted a batch: its rows go, and the log goes on after it. */
  acknowledge(batch: Batch): void {
    if (!this.#exists()) return
    this.#storage.transactionSync(() => {
      const { epoch, ackedLSN } = this.#state()
      // An answer to a batch of a former life says nothing about this one.
      if (!batch.key.includes(`/${epoch}/`) || batch.lastLSN <= ackedLSN) return
      this.#storage.sql.exec('DELETE FROM _cdc_outbox WHERE lsn <= ?', batch.lastLSN)
      this.#storage.sql.exec('UPDATE _cdc_state SET acked_lsn = ?, batch_lsn = 0, batch_attempts = 0', batch.lastLSN)
    })
  }

  #open(): void {
    this.#storage.transactionSync(() => {
      migrate(this.#storage, '_cdc_migrations', migrations)
      this.#settleEpoch()
    })
    this.#envelopeBytes = envelopeBytes(this.#state())
  }

  #settleEpoch(): void {
    const [row] = this.#storage.sql.exec('SELECT * FROM _cdc_state').toArray()
    if (row === undefined) return this.#beginEpoch({ ns: requireNs(this.#owner), ackedLSN: 0 })
    const state = parseState(row)
    const isPending = this.#position().lastLSN > state.ackedLSN
    if (decideEpoch({ ...state, isPending }, this.#owner) === 'begins')
      this.#beginEpoch({ ns: this.#owner.ns ?? state.ns, ackedLSN: state.ackedLSN })
  }

  #beginEpoch({ ns, ackedLSN }: { ns: string; ackedLSN: number }): void {
    const { object, source } = this.#owner
    this.#storage.sql.exec(
      `INSERT OR REPLACE INTO _cdc_state (id, object, ns, source, epoch, acked_lsn, batch_lsn, batch_attempts)
       VALUES (1, ?, ?, ?, ?, ?, 0, 0)`,
      object ?? null,
      ns,
      source,
      this.#createEpoch(),
      ackedLSN,
    )
  }

  #appendRows({ txid, timeMs, events }: OutboxTransaction): { wasIdle: boolean } {
    const { ackedLSN, lastLSN } = this.#position()
    let lsn = lastLSN
    for (const row of splitRows(events, this.#envelopeBytes)) {
      lsn += row.count
      this.#storage.sql.exec(
        'INSERT INTO _cdc_outbox (lsn, count, bytes, txid, time, events) VALUES (?, ?, ?, ?, ?, ?)',
        lsn,
        row.count,
        row.bytes,
        txid,
        timeMs,
        row.events,
      )
    }
    return { wasIdle: lastLSN === ackedLSN }
  }

  /**
   * LSN of the last event ever written, beside the last acknowledged one. Both are read, never remembered: a counter
   * in memory would not follow a rollback, and the rows alone would begin again at 1 once they are all gone.
   */
  #position(): { ackedLSN: number; lastLSN: number } {
    return this.#storage.sql
      .exec<{ ackedLSN: number; lastLSN: number }>(
        `SELECT acked_lsn AS ackedLSN, max(acked_lsn, coalesce((SELECT max(lsn) FROM _cdc_outbox), 0)) AS lastLSN
         FROM _cdc_state`,
      )
      .one()
  }

  #state(): OutboxState {
    return parseState(this.#storage.sql.exec('SELECT * FROM _cdc_state').one())
  }

  #exists(): boolean {
    return this.#storage.sql.exec("SELECT 1 FROM sqlite_master WHERE name = '_cdc_state'").toArray().length > 0
  }

  #rows(afterLSN: number, lastLSN: number): OutboxRow[] {
    return this.#storage.sql
      .exec<OutboxRow>('SELECT * FROM _cdc_outbox WHERE lsn > ? AND lsn <= ? ORDER BY lsn', afterLSN, lastLSN)
      .toArray()
  }

  #nextRows(afterLSN: number, { batchEventsMax, batchBytesMax }: BatchLimits): OutboxRow[] {
    const rows: OutboxRow[] = []
    let events = 0
    let bytes = 0
    const select = 'SELECT * FROM _cdc_outbox WHERE lsn > ? ORDER BY lsn LIMIT ?'
    for (const row of this.#storage.sql.exec<OutboxRow>(select, afterLSN, batchEventsMax)) {
      events += row.count
      bytes += row.bytes
      if (rows.length > 0 && (events > batchEventsMax || bytes > batchBytesMax)) break
      rows.push(row)
    }
    return rows
  }
}

function requireNs(owner: Owner): string {
  const ns = owner.ns ?? owner.object
  if (ns !== undefined) return ns
  throw new CDCError(
    'invalid-config',
    'outbox: its ns is unknown, as a database does not know its object; pass { ns }, or the DurableObjectState instead',
  )
}

/** Cuts a transaction's events into rows that stay below SQLite's row limit and the limit of a batch. */
function splitRows(
  events: readonly EncodedEvent[],
  envelope: number,
): { count: number; bytes: number; events: string }[] {
  const rows: EncodedEvent[][] = []
  let rowBytes = 0
  for (const event of events) {
    const row = rows.at(-1)
    rowBytes += event.bytes + envelope
    if (row !== undefined && row.length < ROW_EVENTS_MAX && rowBytes <= ROW_BYTES_MAX) row.push(event)
    else {
      rows.push([event])
      rowBytes = event.bytes + envelope
    }
  }
  return rows.map((row) => ({
    count: row.length,
    bytes: row.reduce((sum, event) => sum + event.bytes + envelope, 0),
    events: `[${row.map((event) => event.json).join(',')}]`,
  }))
}

/** UTF-8 bytes that a record has beyond its event's content, at most. */
function envelopeBytes({ ns, source, epoch }: Identity): number {
  const envelope = {
    ns,
    source,
    epoch,
    lsn: Number.MAX_SAFE_INTEGER,
    txid: epoch,
    timestamp: new Date(0).toISOString(),
    _meta: { schemaVersion: SCHEMA_VERSION, source, epoch, retries: Number.MAX_SAFE_INTEGER },
  }
  return utf8.encode(JSON.stringify(envelope)).byteLength
}

function createBatch(identity: Identity, rows: readonly OutboxRow[], retries: number): Batch {
  const events = rows.flatMap((row) => readRow(identity, row))
  const first = events[0]
  const last = events.at(-1)
  if (first === undefined || last === undefined) throw new Error('I4: a batch holds at least one event')
  return {
    firstLSN: first.lsn,
    lastLSN: last.lsn,
    key: `${identity.ns}/${identity.source}/${identity.epoch}/${first.lsn}-${last.lsn}`,
    retries,
    records: events.map((event) => toRecord(retries === 0 ? event : { ...event, _meta: { ...event._meta, retries } })),
  }
}

/** Gives a row's events back in full: what the row and the state say is put back into each. */
function readRow({ ns, source, epoch }: Identity, row: OutboxRow): CommittedEvent[] {
  const contents: unknown = JSON.parse(row.events)
  if (!Array.isArray(contents) || contents.length !== row.count)
    throw new Error(`I2: the row that ends at LSN ${row.lsn} does not hold its ${row.count} events`)
  const timestamp = new Date(row.time).toISOString()
  return contents.map((content: EventContent, index) => ({
    ...content,
    timestamp: content.timestamp ?? timestamp,
    ns,
    txid: row.txid,
    lsn: row.lsn - row.count + 1 + index,
    _meta: { schemaVersion: SCHEMA_VERSION, source, epoch },
  }))
}

const stateSchema = z
  .object({
    object: z.string().nullable(),
    ns: z.string(),
    source: z.string(),
    epoch: z.string(),
    acked_lsn: z.number(),
    batch_lsn: z.number(),
    batch_attempts: z.number(),
  })
  .transform(({ acked_lsn, batch_lsn, batch_attempts, ...rest }) => ({
    ...rest,
    ackedLSN: acked_lsn,
    batchLSN: batch_lsn,
    batchAttempts: batch_attempts,
  }))

function parseState(row: Record<string, SqlStorageValue>): OutboxState {
  return stateSchema.parse(row)
}
