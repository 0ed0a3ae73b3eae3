// The points at which `explore` can stop an object: its writes to the storage, the ends of its transactions, and its sends.

/** The object that is watched, and how it is stopped. */
interface Life {
  readonly storage: DurableObjectStorage
  readonly sql: SqlStorage
  readonly abort: () => void
}

/** What unwinds the code of an object that was stopped, and the call of its client. */
export class Stopped extends Error {
  override readonly name = 'Stopped'
}

/** Counts the points that one object reaches, and stops it at some of them. */
export class Watch {
  readonly #stops: number[]
  #life: Life | undefined
  #reached: string[] = []
  /** The points at which it was stopped, in words. */
  readonly stoppedAt: string[] = []

  /** @param stops after how many points it is stopped, counted from the start or from the stop before. */
  constructor(stops: readonly number[]) {
    this.#stops = [...stops]
  }

  /** The points that were reached since the start, or since the last stop. */
  get reached(): readonly string[] {
    return this.#reached
  }

  /** To be called inside the object, each time that it may have begun a new life. */
  follow(state: DurableObjectState): void {
    this.#life = { storage: state.storage, sql: state.storage.sql, abort: () => state.abort('stopped by explore') }
  }

  isOf(target: unknown): boolean {
    return target === this.#life?.storage || target === this.#life?.sql
  }

  /** Notes a point. @returns whether the object is to be stopped there. */
  pass(point: string): boolean {
    this.#reached.push(point)
    if (this.#reached.length !== this.#stops[0]) return false
    this.#stops.shift()
    this.#reached = []
    this.stoppedAt.push(point)
    return true
  }

  /** Notes a point inside the object, and stops it there if it is to be stopped. */
  reach(point: string): void {
    if (this.#life === undefined || !this.pass(point)) return
    const { abort } = this.#life
    this.#life = undefined
    abort()
    throw new Stopped(`stopped ${point}`)
  }
}

let watch: Watch | undefined

/** Everything that happens from now on is seen by this watch; by none if it is undefined. */
export function setWatch(next: Watch | undefined): void {
  watch = next
}

/** Notes a point in the code that the watched object runs. */
export function reachPoint(point: string): void {
  watch?.reach(point)
}

const SQL_SHOWN_MAX = 60
const READS = /^\s*(?:SELECT|PRAGMA|EXPLAIN)\b/i
/** The methods that write, each a point before it. */
const WRITES = ['put', 'delete', 'deleteAll', 'setAlarm', 'deleteAlarm'] as const

const patched = new WeakSet<object>()

/** Has the storage of all objects of this isolate tell the watch what it does. Objects must be made after that. */
export function patchStorage(storage: DurableObjectStorage): void {
  const prototype = Object.getPrototypeOf(storage) as DurableObjectStorage
  if (patched.has(prototype)) return
  patched.add(prototype)
  for (const name of WRITES) wrap(prototype, name, (self, call) => (reachIf(self, `before ${name}`), call()))
  wrap(Object.getPrototypeOf(storage.sql) as SqlStorage, 'exec', (self, call, [query]) => {
    const sql = String(query).trim().replaceAll(/\s+/g, ' ')
    if (!READS.test(sql)) reachIf(self, `before ${sql.slice(0, SQL_SHOWN_MAX)}`)
    return call()
  })
  for (const name of ['transactionSync', 'transaction'] as const)
    wrap(prototype, name, (self, call, [callback]) => call(endingWithPoint(self, callback)))
}

function endingWithPoint(self: unknown, callback: unknown): (...args: unknown[]) => unknown {
  const end = (result: unknown) => (reachIf(self, 'before the end of a transaction'), result)
  return (...args) => {
    const result: unknown = (callback as (...args: unknown[]) => unknown)(...args)
    return result instanceof Promise ? result.then(end) : end(result)
  }
}

function reachIf(self: unknown, point: string): void {
  if (watch?.isOf(self) === true) watch.reach(point)
}

type Replacement = (self: unknown, call: (...args: unknown[]) => unknown, args: readonly unknown[]) => unknown

/** Replaces a method of the platform by one that calls it, with the same arguments if it gives none. */
function wrap(prototype: object, name: string, replacement: Replacement): void {
  const original: unknown = Reflect.get(prototype, name)
  if (typeof original !== 'function') throw new Error(`explore: the platform's storage has no ${name}`)
  Object.defineProperty(prototype, name, {
    configurable: true,
    writable: true,
    value(this: unknown, ...args: unknown[]) {
      return replacement(
        this,
        (...given) => Reflect.apply(original, this, given.length > 0 ? given : args) as unknown,
        args,
      )
    },
  })
}
