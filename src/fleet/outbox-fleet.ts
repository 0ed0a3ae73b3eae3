// The Durable Object that knows which objects with an outbox there are: a namespace of Durable Objects can't list its own.

import { DurableObject } from 'cloudflare:workers'
import { Fields } from '../event/fields.ts'
import { name, oneOf, optional, text, ulid, whole, withDefault } from '../event/kinds.ts'
import { hideFromRPC } from '../hide-from-rpc.ts'
import type { Fleet, Member, Trouble } from '../membership/fleet.ts'
import { migrate } from '../sqlite/migrate.ts'
import { type ClassSummary, type KnownMember, type MemberFilter, Members, migrations } from './members.ts'

/** Members that one call returns at most. */
const PAGE_MEMBERS_MAX = 1_000
const REASON_LENGTH_MAX = 1_000

const hexId = text(64)
const memberFields = new Fields<Member>({
  id: hexId,
  className: name,
  name: optional(name),
  ns: name,
  source: name,
  epoch: ulid,
})
const troubleFields = new Fields<Trouble>({
  pendingEvents: whole({ from: 0 }),
  oldestPendingMs: optional(whole({ from: 0 })),
  deadLetters: whole({ from: 0 }),
  failures: whole({ from: 0 }),
  isPaused: oneOf([true, false]),
  lastError: optional(text(REASON_LENGTH_MAX)),
})
const pageFields = new Fields<MemberFilter & { after?: string; limit: number }>({
  className: optional(name),
  ns: optional(name),
  isTroubled: optional(oneOf([true])),
  after: optional(hexId),
  limit: withDefault(whole({ to: PAGE_MEMBERS_MAX }), PAGE_MEMBERS_MAX),
})

/**
 * Knows a share of the fleet: the objects with an outbox that have emitted, and those that are in trouble. Bind it as
 * `OUTBOX_FLEET`, and export it from the Worker. An object makes itself known with its first event.
 */
export class OutboxFleet<Env = Cloudflare.Env> extends DurableObject<Env> implements Fleet {
  readonly #members: Members

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env)
    hideFromRPC(this, 'now')
    migrate(ctx.storage, 'fleet_migrations', migrations)
    this.#members = new Members(ctx.storage.sql)
  }

  /** The time, for a test to choose. */
  protected now(): number {
    return Date.now()
  }

  /** @throws {CDCError} `invalid-argument`. */
  async report(member: Member, trouble?: Trouble): Promise<void> {
    const parsed = memberFields.parse(member, 'fleet.report', 'invalid-argument')
    const parsedTrouble =
      trouble === undefined ? undefined : troubleFields.parse(trouble, 'fleet.report', 'invalid-argument')
    this.#members.put(parsed, parsedTrouble, this.now())
  }

  /** Forgets an object, until it has another event or another trouble. @returns whether it was known. */
  forget(id: string): boolean {
    return this.#members.remove(id)
  }

  /** Members in the order of their ids, after one. @throws {CDCError} `invalid-argument`. */
  list(page: MemberFilter & { after?: string; limit?: number } = {}): KnownMember[] {
    const { after = '', limit, ...filter } = pageFields.parse(page, 'fleet.list', 'invalid-argument')
    return this.#members.page(filter, after, limit)
  }

  get(id: string): KnownMember | null {
    return this.#members.get(id) ?? null
  }

  summary(): ClassSummary[] {
    return this.#members.summary()
  }
}
