// The calls of an outbox by name, as a program outside of Workers makes them.

import { CDCError } from '../error.ts'

/** The calls of `OutboxAdmin`. It checks every argument itself, so here they are unknown. */
export interface OutboxCalls {
  stats(): unknown
  list(query: unknown): unknown
  get(lsn: unknown): unknown
  flush(): unknown
  pause(which: unknown): unknown
  resume(which: unknown): unknown
  subscriptions(): unknown
  drop(which: unknown): unknown
  deadLetters(query: unknown): unknown
  redrive(choice: unknown): unknown
  discard(choice: unknown): unknown
  replay(range: unknown): unknown
  snapshot(store: unknown, options: unknown): unknown
}

/** An object with an outbox: the stub of a `CDCDurableObject`, or of any object with `get outbox()`. */
export interface OutboxHolder {
  readonly outbox: OutboxCalls | PromiseLike<OutboxCalls & Disposable>
}

type Call = (outbox: OutboxCalls, argument: unknown) => unknown

/** Every method that can be called. The name in the URL is looked up here, and never on an object. */
const calls: ReadonlyMap<string, Call> = new Map<keyof OutboxCalls, Call>([
  ['stats', (outbox) => outbox.stats()],
  ['list', (outbox, query = {}) => outbox.list(query)],
  ['get', (outbox, lsn) => outbox.get(lsn)],
  ['flush', (outbox) => outbox.flush()],
  ['pause', (outbox, which = {}) => outbox.pause(which)],
  ['resume', (outbox, which = {}) => outbox.resume(which)],
  ['subscriptions', (outbox) => outbox.subscriptions()],
  ['drop', (outbox, which = {}) => outbox.drop(which)],
  ['deadLetters', (outbox, query = {}) => outbox.deadLetters(query)],
  ['redrive', (outbox, choice = {}) => outbox.redrive(choice)],
  ['discard', (outbox, choice = {}) => outbox.discard(choice)],
  ['replay', (outbox, range = {}) => outbox.replay(range)],
  ['snapshot', (outbox, argument) => snapshot(outbox, argument)],
])

/** The methods that change nothing. */
const READS: ReadonlySet<string> = new Set<keyof OutboxCalls>(['stats', 'list', 'get', 'deadLetters', 'subscriptions'])

export function isRead(method: string): boolean {
  return READS.has(method)
}

/** How a method is called on an object, by its name. @throws {CDCError} `not-found`. */
export function callOf(method: string): (holder: OutboxHolder, argument: unknown) => Promise<unknown> {
  const call = calls.get(method)
  if (call === undefined)
    throw new CDCError(
      'not-found',
      `admin: there is no method ${method}; the methods are ${[...calls.keys()].join(', ')}`,
    )
  return (holder, argument) => withOutbox<OutboxCalls, unknown>(holder, (outbox) => call(outbox, argument))
}

/** `{ store, chunk? }` */
function snapshot(outbox: OutboxCalls, argument: unknown): unknown {
  const { store, ...options } = Object(argument) as { store?: unknown }
  return outbox.snapshot(store, options)
}

/** Uses an object's outbox, and disposes of its stub afterwards: it would keep the object in memory. */
export async function withOutbox<Outbox extends object, Result>(
  holder: { readonly outbox: Outbox | PromiseLike<Outbox> },
  use: (outbox: Outbox) => Result | Promise<Result>,
): Promise<Result> {
  const outbox: Outbox & Partial<Disposable> = await holder.outbox
  try {
    return await use(outbox)
  } finally {
    outbox[Symbol.dispose]?.()
  }
}
