// The identity of an outbox. (source, epoch, lsn) names an event for ever, so the identity of pending events must not
// change, and a database that was emptied or copied must not continue under the old one (I9).

import { CDCError } from '../error.ts'
import { Fields } from '../event/fields.ts'
import { name, ulid } from '../event/kinds.ts'
import { describeProblems } from '../problem.ts'

/** The names that all events of an outbox carry. */
export interface Identity {
  readonly ns: string
  readonly source: string
  readonly epoch: string
}

/** The object that the database belongs to, as it is known when the object wakes. */
export interface Owner {
  /** Id of the Durable Object, if it is known. */
  readonly object: string | undefined
  /** Configured, or the object's name; undefined if the object was reached by id and doesn't know its name. */
  readonly ns: string | undefined
  readonly source: string
}

const identityFields = new Fields<Identity>({ ns: name, source: name, epoch: ulid })

/**
 * Checks an identity before anything commits under it: under one that no receiver accepts, nothing could ever land, not even
 * the record of a dead letter.
 *
 * @throws {CDCError} `invalid-config`.
 */
export function checkIdentity(identity: Identity): void {
  const problems = identityFields.problems(identity)
  if (problems.length === 0) return
  throw new CDCError(
    'invalid-config',
    `outbox: ${describeProblems(problems)}; the ns is the object's name unless configure() returns one: name the object ` +
      'otherwise, or set { ns }',
  )
}

/** The last millisecond of the year 9999: a later one is written in a form that no receiver accepts. */
const TIME_MS_MAX = 253_402_300_799_999

/** Checks the time of a transaction before it commits. @throws {CDCError} `invalid-config`. */
export function checkTime(timeMs: number): void {
  if (timeMs >= 0 && timeMs <= TIME_MS_MAX) return
  throw new CDCError(
    'invalid-config',
    `transaction: the clock says ${timeMs}; now() must return milliseconds since 1970, before the year 10000`,
  )
}

/** The identity in the database, and whether events are pending under it. */
export interface StoredIdentity extends Identity {
  readonly object: string | null
  readonly isPending: boolean
}

/**
 * Decides whether the stored epoch continues or a new one begins (I9).
 *
 * In a copy a new one begins at once, because the original continues the old one. For a new ns or source it begins after
 * the events that are pending under the old name have been delivered, because some of them may have been sent already.
 */
export function decideEpoch(stored: StoredIdentity, owner: Owner): 'continues' | 'begins' {
  if (isCopy(stored, owner)) return 'begins'
  const isRenamed = stored.source !== owner.source || (owner.ns !== undefined && stored.ns !== owner.ns)
  return isRenamed && !stored.isPending ? 'begins' : 'continues'
}

/** Whether the database was copied from another object. */
export function isCopy(stored: Pick<StoredIdentity, 'object'>, owner: Owner): boolean {
  return stored.object !== null && owner.object !== undefined && stored.object !== owner.object
}
