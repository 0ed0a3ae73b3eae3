// What a transaction's callback receives. It gathers events; they are written when the outermost transaction ends.

import type { SQL } from 'drizzle-orm'
import type { DrizzleSqliteDODatabase } from 'drizzle-orm/durable-sqlite'
import { CDCError } from '../error.ts'
import { type EncodedEvent, encodeChange, encodeEvent, type StoreChange } from '../event/create-event.ts'
import type { Emitted, EventTypes } from '../event/event-types.ts'
import type { Attribution, EventInput } from '../event/unified-event.ts'
import { checkBindings } from './bindings.ts'
import { renderSQL } from './render-sql.ts'

/** What the transactions that are nested in one another share: they commit together, under one txid. */
export interface UnitOfWork {
  readonly txid: string
  readonly events: EncodedEvent[]
}

/** drizzle's own function from `drizzle-orm/durable-sqlite`: handed in, because a Worker without it is 60 KiB smaller. */
export type DrizzleFactory = (storage: DurableObjectStorage) => DrizzleSqliteDODatabase

interface TransactionPorts {
  readonly storage: DurableObjectStorage
  readonly drizzle: DrizzleFactory | undefined
  readonly unit: UnitOfWork
  readonly attribution: Attribution
  readonly createId: () => string
  readonly types: EventTypes | undefined
}

/** @typeParam Types of the events that are emitted: `typeof` what `defineEvents` returned. Without them any event is. */
export class Transaction<Types = unknown> {
  readonly #ports: TransactionPorts
  #hasEnded = false

  /** Made by `ctx.transaction` and `ctx.transactionSync`. */
  constructor(ports: TransactionPorts) {
    this.#ports = ports
  }

  /** ULID of the transaction; all its events carry it. */
  get txid(): string {
    return this.#ports.unit.txid
  }

  /**
   * The object's database through drizzle. Use it synchronously (`.run()`, `.all()`, `.get()`), inside the callback.
   *
   * @throws {CDCError} `invalid-config` without the option `drizzle`.
   */
  get db(): DrizzleSqliteDODatabase {
    this.#assertOpen('db')
    const { drizzle, storage } = this.#ports
    if (drizzle !== undefined) return drizzle(storage)
    throw new CDCError(
      'invalid-config',
      "tx.db: drizzle is not configured; import { drizzle } from 'drizzle-orm/durable-sqlite' and return it from " +
        'configure(): { drizzle }',
    )
  }

  /**
   * Emits an event: it commits with this transaction, or not at all. The event is taken as it is now.
   *
   * @returns the event's id, a ULID.
   * @throws {CDCError} `event-invalid` or `event-too-large`; uncaught, it rolls the transaction back.
   */
  emit(event: Emitted<Types>): string {
    this.#assertOpen('emit')
    const encoded = this.#encode(event)
    this.#ports.unit.events.push(encoded)
    return encoded.id
  }

  /** Emits events in order, all or none of them. @returns their ids. @throws {CDCError} like `emit`. */
  emitBatch(events: readonly Emitted<Types>[]): string[] {
    this.#assertOpen('emitBatch')
    const encoded = events.map((event) => this.#encode(event))
    for (const event of encoded) this.#ports.unit.events.push(event)
    return encoded.map((event) => event.id)
  }

  /**
   * Emits what a store did, as `emit` does, but for rows that are JSON text already.
   *
   * @internal
   */
  emitChange(change: StoreChange): string {
    this.#assertOpen('emitChange')
    const { unit, createId, attribution } = this.#ports
    const encoded = encodeChange(change, createId, attribution)
    unit.events.push(encoded)
    return encoded.id
  }

  /**
   * Runs one SQL statement and reads all its rows.
   *
   * @param query a drizzle template, `` sql`UPDATE t SET a = ${a}` ``, or SQL text with `?` for each parameter.
   * @throws {CDCError} `invalid-argument` for a parameter that SQLite would store as something else.
   */
  execute<Row extends Record<string, SqlStorageValue>>(query: SQL | string, ...params: unknown[]): Row[] {
    this.#assertOpen('execute')
    const statement = typeof query === 'string' ? { sql: query, params } : renderSQL(query)
    // Read to the end at once: a write's unread rows would make the commit fail.
    return this.#ports.storage.sql.exec<Row>(statement.sql, ...checkBindings(statement.params)).toArray()
  }

  /** Called by the context: from here on the handle is of no use. */
  end(): void {
    this.#hasEnded = true
  }

  #encode(event: Emitted<Types>): EncodedEvent {
    const { createId, attribution, types } = this.#ports
    // Whatever its type claims, it is checked here.
    return encodeEvent(event as EventInput, createId, attribution, types)
  }

  #assertOpen(method: string): void {
    if (!this.#hasEnded) return
    throw new CDCError(
      'transaction-ended',
      `tx.${method}: the transaction has ended; await everything that uses tx inside its callback`,
    )
  }
}
