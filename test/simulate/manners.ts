// Small scripts of what a user's code does with `ctx.storage` and the library, and how they are carried out inside an object. The
// log that one leaves must be the same in workerd and in the simulator's platform, which runs the same code.

import { ExactlyOnceContext, type Pipeline, type Transaction } from 'durable-outbox'
import { between, choose, createRandom, type Random } from '../../proofs/harness/random.ts'

type Statement = { readonly do: 'sql'; readonly text: string; readonly bindings: readonly (string | number | null)[] }
type Act =
  | Statement
  | { readonly do: 'emit'; readonly n: number }
  | { readonly do: 'set the alarm' | 'delete the alarm' }
  | Block<'ours' | 'the platform’s'>
  | AsyncAct
/** An act that takes a turn. */
type AsyncAct = { readonly do: 'read the alarm' } | AsyncBlock
type AsyncBlock = Block<'ours, async' | 'the platform’s, async'>
interface Block<Kind extends BlockKind = BlockKind> {
  readonly do: Kind
  readonly acts: readonly Act[]
  readonly fails: boolean
}
type BlockKind = 'ours' | 'ours, async' | 'the platform’s' | 'the platform’s, async'
type SyncAct = Exclude<Act, AsyncAct>
/** What one instance of an object does; between two it is evicted. */
type Stay = readonly (Act | { readonly do: 'delete all' | 'drain' | 'drain, and the pipeline fails' })[]
export type MannersScript = readonly Stay[]

/** Far enough ahead that no alarm fires by itself. */
const NEVER_MS = 3_600_000

const STATEMENTS: readonly ((random: Random) => Statement)[] = [
  () => sql('CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, a TEXT, b INTEGER UNIQUE)'),
  (random) => sql('INSERT INTO t (a, b) VALUES (?, ?)', value(random), between(random, 1, 6)),
  (random) =>
    sql('INSERT INTO t (a, b) VALUES (?, ?) RETURNING id, a, typeof(a), b', value(random), between(random, 1, 6)),
  (random) =>
    sql(
      'INSERT OR REPLACE INTO t (id, a, b) VALUES (?, ?, ?)',
      between(random, 1, 4),
      value(random),
      between(random, 1, 6),
    ),
  (random) => sql('INSERT INTO t (b) VALUES (?) ON CONFLICT DO NOTHING', between(random, 1, 6)),
  (random) => sql('UPDATE t SET a = ? WHERE b > ? RETURNING id', value(random), between(random, 1, 6)),
  (random) => sql('DELETE FROM t WHERE b = ?', between(random, 1, 6)),
  () => sql('SELECT id, a, b, typeof(a) AS type FROM t ORDER BY id'),
  () => sql('ALTER TABLE t ADD COLUMN c TEXT'),
  () => sql('DROP TABLE IF EXISTS t'),
  () =>
    sql(
      'CREATE TABLE IF NOT EXISTS u (id INTEGER PRIMARY KEY); INSERT INTO u DEFAULT VALUES; SELECT changes(), last_insert_rowid() AS id',
    ),
  () => sql('SELECT nonsense FROM t'),
]

export function createMannersScript(seed: number): MannersScript {
  const random = createRandom(seed, 'manners')
  const numbers = { next: 1 }
  const create: Stay = [sql('CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, a TEXT, b INTEGER UNIQUE)')]
  const stays = Array.from({ length: between(random, 1, 3) }, (): Stay =>
    Array.from({ length: between(random, 2, 8) }, () => {
      const what = choose(random, { act: 20, 'delete all': 1, drain: 3, 'drain, and the pipeline fails': 1 })
      return what === 'act' ? createAct(random, numbers, []) : { do: what }
    }),
  )
  return [create, ...stays]
}

/** @param around the blocks that it is in: an async one inside a synchronous one would run after that. */
function createAct(random: Random, numbers: { next: number }, around: readonly BlockKind[]): Act {
  const what = choose(random, { sql: 6, alarm: 2, emit: around.some(isOurs) ? 4 : 0, block: around.length < 3 ? 4 : 0 })
  if (what === 'emit') return { do: 'emit', n: numbers.next++ }
  if (what === 'alarm')
    return { do: choose(random, { 'set the alarm': 2, 'read the alarm': 2, 'delete the alarm': 1 }) }
  if (what === 'sql') return STATEMENTS[between(random, 0, STATEMENTS.length - 1)]?.(random) ?? sql('SELECT 1 AS one')
  const isInSync = around.some((kind) => !isAsync(kind))
  const kind = choose(random, {
    ours: 3,
    'the platform’s': 2,
    'ours, async': isInSync ? 0 : 2,
    'the platform’s, async': isInSync ? 0 : 1,
  })
  const acts = Array.from({ length: between(random, 0, 4) }, () => createAct(random, numbers, [...around, kind]))
  return { do: kind, acts, fails: random() < 0.25 }
}

function isOurs(kind: BlockKind): boolean {
  return kind === 'ours' || kind === 'ours, async'
}

function isAsync(kind: BlockKind): boolean {
  return kind === 'ours, async' || kind === 'the platform’s, async'
}

function sql(text: string, ...bindings: (string | number | null)[]): Statement {
  return { do: 'sql', text, bindings }
}

function value(random: Random): string | number | null {
  const values = ['a', 'ä€', 5, 1.5, null, 2 ** 40]
  return values[between(random, 0, values.length - 1)] ?? null
}

/** Carries out what an instance does. @returns the log of it, the same wherever it ran. */
export async function runStay(state: DurableObjectState, stay: Stay): Promise<string[]> {
  const run = new Run(state)
  // What the library does as it wakes comes before the first request, if it is done in a constructor.
  await state.blockConcurrencyWhile(async () => undefined)
  for (const act of stay) await run.do(act)
  run.dump()
  return run.log
}

class Run {
  readonly log: string[] = []
  readonly #storage: DurableObjectStorage
  readonly #context: ExactlyOnceContext
  /** The innermost open transaction of ours. */
  #tx: Transaction | undefined
  #isPipelineUp = true

  constructor(state: DurableObjectState) {
    this.#storage = state.storage
    const pipeline: Pipeline = { send: (records) => this.#send(records.map(({ lsn = 0 }) => lsn)) }
    const limits = { lingerMs: NEVER_MS, minRetryDelayMs: NEVER_MS, maxRetryDelayMs: NEVER_MS, recoveryMs: NEVER_MS }
    // No commit finds a full batch: its alarm would be due now, and only one of the two clocks goes on within a turn.
    this.#context = new ExactlyOnceContext(state, { ns: 'manners', pipeline, ...limits })
  }

  async do(act: Stay[number]): Promise<void> {
    switch (act.do) {
      case 'delete all':
        await this.#storage.deleteAll()
        return this.#note('delete all')
      case 'drain':
      case 'drain, and the pipeline fails':
        this.#isPipelineUp = act.do === 'drain'
        await this.#context.alarm()
        return this.#note(act.do)
      case 'read the alarm':
        return this.#note(`the alarm is ${(await this.#storage.getAlarm()) === null ? 'not set' : 'set'}`)
      case 'ours, async':
      case 'the platform’s, async':
        return this.#outcome(act.do, () => this.#runAsync(act))
      default:
        return this.#doSync(act)
    }
  }

  /** What is in the database, without what differs from run to run. */
  dump(): void {
    for (const { name } of this.#storage.sql
      .exec<{ name: string }>(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name IN ('t', 'u') ORDER BY name",
      )
      .toArray())
      this.#note(`${name}: ${JSON.stringify(this.#storage.sql.exec(`SELECT * FROM ${name} ORDER BY 1`).toArray())}`)
    const { pendingEvents, lastLSN, ackedLSN, inFlight } = this.#context.outbox.stats()
    this.#note(`outbox: ${JSON.stringify({ pendingEvents, lastLSN, ackedLSN, attempts: inFlight?.attempts ?? 0 })}`)
    const { items } = this.#context.outbox.list()
    this.#note(`events: ${items.map(({ lsn, data }) => `${lsn} ${JSON.stringify(data)}`).join(', ')}`)
  }

  #doSync(act: SyncAct): void {
    switch (act.do) {
      case 'sql':
        return this.#attempt(act.text, () => this.#query(act))
      case 'emit':
        return this.#attempt('emit', () => {
          this.#tx?.emit({ type: 'Noted', data: { n: act.n } })
          return ''
        })
      case 'set the alarm':
        void this.#storage.setAlarm(Date.now() + NEVER_MS)
        return undefined
      case 'delete the alarm':
        void this.#storage.deleteAlarm()
        return undefined
      case 'ours':
        return this.#attempt(act.do, () => this.#context.transactionSync((tx) => this.#inside(tx, act)))
      case 'the platform’s':
        return this.#attempt(act.do, () => this.#storage.transactionSync(() => this.#inside(this.#tx, act)))
    }
  }

  #query({ text, bindings }: Statement): string {
    const cursor = this.#storage.sql.exec(text, ...bindings)
    const rows = cursor.toArray()
    return `${cursor.columnNames.join()} ${JSON.stringify(rows)}`
  }

  #inside(tx: Transaction | undefined, { acts, fails }: Block): string {
    const outer = this.#tx
    this.#tx = tx
    try {
      // Reading the alarm takes a turn, and so does an async block, of which a synchronous one has none.
      for (const act of acts) if (isSync(act)) this.#doSync(act)
    } finally {
      this.#tx = outer
    }
    if (fails) throw new Error('on purpose')
    return 'committed'
  }

  async #runAsync(block: AsyncBlock): Promise<string> {
    const outer = this.#tx
    const inside = async (tx: Transaction | undefined): Promise<string> => {
      this.#tx = tx
      for (const act of block.acts) await this.do(act)
      if (block.fails) throw new Error('on purpose')
      return 'committed'
    }
    try {
      if (block.do === 'ours, async') return await this.#context.transaction(inside)
      return await this.#storage.transaction(() => inside(outer))
    } finally {
      this.#tx = outer
    }
  }

  async #send(lsns: readonly number[]): Promise<void> {
    this.#note(`send ${lsns.join(' ')}`)
    if (!this.#isPipelineUp) throw new Error('the pipeline is down')
  }

  #attempt(what: string, run: () => string): void {
    try {
      this.#note(`${what}: ${run()}`)
    } catch (error) {
      this.#note(`${what}: ${describe(error)}`)
    }
  }

  async #outcome(what: string, run: () => Promise<string>): Promise<void> {
    try {
      this.#note(`${what}: ${await run()}`)
    } catch (error) {
      this.#note(`${what}: ${describe(error)}`)
    }
  }

  #note(line: string): void {
    this.log.push(line)
  }
}

function isSync(act: Act): act is SyncAct {
  return act.do !== 'read the alarm' && act.do !== 'ours, async' && act.do !== 'the platform’s, async'
}

/** The versions of SQLite differ in what they add to a message, and the platform adds a code. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.message.replace(/(?: at offset \d+)?: SQLITE_\w+.*$/, '')
}
