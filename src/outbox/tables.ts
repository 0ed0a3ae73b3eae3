// The library's tables in an object, and the identity of the outbox: with new tables a new epoch begins (I9). They are made
// when the object wakes, and again when they are needed after `deleteAll`.

import { decodeTime, ulid } from 'ulid'
import { CDCError } from '../error.ts'
import { LazyTables } from '../sqlite/lazy-tables.ts'
import { migrate } from '../sqlite/migrate.ts'
import { LAST_LSN } from './end-of-log.ts'
import { checkIdentity, decideEpoch, isCopy, type Owner } from './identity.ts'
import { envelopeBytes } from './log.ts'
import { migrations } from './migrations.generated.ts'
import { type OutboxState, readState, segmentsText } from './state.ts'

export class OutboxTables {
  readonly #storage: DurableObjectStorage
  readonly #owner: Owner
  readonly #createId: () => string
  readonly #tables: LazyTables
  /** Upper bound of the UTF-8 bytes that a record has beyond its event. */
  #envelopeBytes = 0
  readonly #onCreated: (() => void)[] = []
  /** The latest epoch since the object woke, which `deleteAll` takes out of the database. */
  #lastEpoch = ''

  /** @throws {CDCError} `invalid-config`, `schema-newer` or `migration-failed`. */
  constructor(storage: DurableObjectStorage, owner: Owner, createId: () => string) {
    this.#storage = storage
    this.#owner = owner
    this.#createId = createId
    this.#tables = new LazyTables(
      () => this.#create(),
      () => storage.sql.exec("SELECT 1 FROM sqlite_master WHERE name = '_cdc_state'").toArray().length > 0,
    )
    this.open()
  }

  /** Calls the listener when the tables have been made, also for the second time. */
  onCreated(listener: () => void): void {
    this.#onCreated.push(listener)
  }

  /** Makes the tables if they are missing; then a new epoch begins. */
  open(): void {
    this.#tables.open()
  }

  /** Whether they exist. After `deleteAll` they don't, until something needs them. */
  exist(): boolean {
    return this.#tables.exist()
  }

  emptied(): void {
    this.#tables.emptied()
  }

  rolledBack(): void {
    this.#tables.rolledBack()
  }

  get envelopeBytes(): number {
    return this.#envelopeBytes
  }

  #create(): void {
    this.#storage.transactionSync(() => {
      migrate(this.#storage, '_cdc_migrations', migrations)
      this.#settleEpoch()
    })
    const state = readState(this.#storage.sql)
    if (state === undefined) throw new Error('I9: an open outbox has a state')
    this.#envelopeBytes = envelopeBytes(state)
    this.#lastEpoch = state.epoch
    for (const listener of this.#onCreated) listener()
  }

  #settleEpoch(): void {
    const state = readState(this.#storage.sql)
    if (state === undefined) return this.#beginEpoch(requireNs(this.#owner))
    const { lastLSN } = this.#storage.sql
      .exec<{ lastLSN: number }>(`SELECT ${LAST_LSN} AS lastLSN FROM _cdc_state`)
      .one()
    if (decideEpoch({ ...state, isPending: lastLSN > state.ackedLSN }, this.#owner) === 'begins')
      this.#beginEpoch(this.#owner.ns ?? state.ns, state)
  }

  /**
   * An epoch that sorts after every one that is known to have been before it, although the clock may have stepped back; and
   * different from the one that another copy of this database begins, or this one did before it was restored.
   */
  #mintEpoch(stored = ''): string {
    const last = stored > this.#lastEpoch ? stored : this.#lastEpoch
    const minted = this.#createId()
    this.#lastEpoch = minted > last ? minted : ulid(decodeTime(last) + 1)
    return this.#lastEpoch
  }

  #beginEpoch(ns: string, before?: OutboxState): void {
    const { object = null, source } = this.#owner
    const epoch = this.#mintEpoch(before?.epoch)
    checkIdentity({ ns, source, epoch })
    if (before !== undefined) this.#carrySubscriptions(before)
    this.#storage.sql.exec(
      `INSERT OR REPLACE INTO _cdc_state (
         id, object, ns, source, epoch, epoch_lsn, acked_lsn, acked_bytes, pruned_bytes, paused,
         batch_lsn, attempts_begun, attempts_ended, first_attempt, next_attempt, last_error, suspect_lsn,
         segments, sealed_lsn, sealed_bytes
       ) VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0, 0, NULL, 0, ?, ?, ?)`,
      object,
      ns,
      source,
      epoch,
      (before?.ackedLSN ?? 0) + 1,
      before?.ackedLSN ?? 0,
      before?.ackedBytes ?? 0,
      before?.prunedBytes ?? 0,
      before?.isPaused ? 1 : 0,
      segmentsText(before?.segments ?? []),
      before?.sealedLSN ?? 0,
      before?.sealedBytes ?? 0,
    )
  }

  /**
   * What subscriptions have not delivered yet belongs to the log that ends now, and is delivered under its name. In a copy the
   * original does that.
   */
  #carrySubscriptions(before: OutboxState): void {
    const { ns, source, epoch, ackedLSN } = before
    if (isCopy(before, this.#owner))
      this.#storage.sql.exec(
        `UPDATE _cdc_subscription SET acked_lsn = max(acked_lsn, ?), past_lsn = 0, batch_lsn = 0, attempts_begun = 0,
           attempts_ended = 0, first_attempt = 0, next_attempt = 0, suspect_lsn = 0`,
        ackedLSN,
      )
    else
      this.#storage.sql.exec(
        `UPDATE _cdc_subscription SET past_lsn = ?1, past_log = iif(past_lsn > acked_lsn, past_log, ?2) WHERE acked_lsn < ?1`,
        ackedLSN,
        JSON.stringify([ns, source, epoch]),
      )
  }
}

function requireNs(owner: Owner): string {
  const ns = owner.ns ?? owner.object
  if (ns !== undefined) return ns
  throw new CDCError(
    'invalid-config',
    'outbox: its ns is unknown, because a database does not know its object; pass { ns }, or pass the DurableObjectState',
  )
}
