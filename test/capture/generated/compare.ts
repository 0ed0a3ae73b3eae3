// Runs a script in a captured object and in its plain twin, and says where they first differ.

import { env } from 'cloudflare:workers'
import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import { configurations, type Stores } from '../../worker.ts'
import { mayReplaceAsRecursive } from './documented.ts'
import type { Features } from './features.ts'
import type { Op, Script } from './plan.ts'
import { CapturedRun, type Finding, type Line, messageOf, PlainRun, type Run, type Shared, UNSURE } from './run.ts'

/** Longer than any test. */
const NEVER_MS = 3_600_000
/** More than any script has, so that a log that grows without end is noticed. */
const BACKLOG_EVENTS_MAX = 1_000

let scripts = 0

/** Runs a script twice, and again where that may be SQLite's own doing. @returns the first thing that is wrong, or nothing. */
export async function runScript(script: Script, features: Features): Promise<Finding | undefined> {
  const shared: Shared = { features, refused: new Map(), modes: new Map() }
  const name = `generated ${++scripts}`
  const captured = new CapturedRun(shared)
  configurations.set(name, {
    pipeline: captured.pipeline,
    lingerMs: NEVER_MS,
    maxBacklogEvents: BACKLOG_EVENTS_MAX,
    now: () => Date.now() + captured.skewMs,
  })
  const plain = new PlainRun(shared)
  await runLives(captured, env.STORES.getByName(name), script)
  configurations.delete(name)
  await runLives(plain, env.PLAIN.getByName(name), script)
  const place = placesIn(script)
  const own = [...captured.findings, ...plain.findings].toSorted((a, b) => place(a) - place(b))[0]
  const between = difference(captured, plain, place)
  if (between === undefined || (own !== undefined && place(own) < place(between))) return own
  if (plain.hasBrokenKeys && between.what.includes('FOREIGN KEY constraint failed')) return own
  const twins = [new PlainRun(shared, ['AFTER']), new PlainRun(shared, ['BEFORE', 'AFTER'])]
  if (script.ops.some((op) => op.do === 'sql' && mayReplaceAsRecursive(op.text)))
    twins.push(new PlainRun(shared, ['BEFORE', 'AFTER'], true))
  for (const [at, twin] of twins.entries()) {
    await runLives(twin, env.PLAIN.getByName(`${name} twin ${at}`), script)
    if (difference(captured, twin, place) === undefined) return own
  }
  return between
}

async function runLives(
  run: CapturedRun | PlainRun,
  stub: DurableObjectStub<Stores> | DurableObjectStub,
  script: Script,
): Promise<void> {
  for (const { wake, ops } of livesOf(script)) {
    if (wake !== undefined) {
      await evictDurableObject(stub)
      if (run instanceof CapturedRun) run.skewMs += wake.skewMs
    }
    try {
      await runInDurableObject(stub, (object, state) => run.take(object, state, ops))
    } catch (error) {
      return breakDown(run, ops, error)
    }
  }
}

/** The object could not go on: so be it, where its twin can't either. */
function breakDown(run: Run, ops: readonly Op[], error: unknown): void {
  run.lines.push({ op: run.lines.at(-1)?.op ?? ops[0], kind: 'broken', text: `the object broke: ${messageOf(error)}` })
}

interface Life {
  readonly wake: Extract<Op, { do: 'wake' }> | undefined
  readonly ops: Op[]
}

function livesOf({ ops }: Script): Life[] {
  const lives: Life[] = [{ wake: undefined, ops: [] }]
  for (const op of ops)
    if (op.do === 'wake') lives.push({ wake: op, ops: [] })
    else lives.at(-1)?.ops.push(op)
  return lives
}

function difference({ lines: captured }: Run, { lines: plain }: Run, place: Place): Finding | undefined {
  const length = Math.max(captured.length, plain.length)
  for (let at = 0; at < length; at++) {
    const [mine, twins] = [captured[at], plain[at]]
    if (mine !== undefined && twins !== undefined && mine.op === twins.op && mine.text === twins.text) continue
    // Which of two errors SQLite finds first depends on whether there are triggers; then one ends where the other goes on.
    if (mine?.kind === 'error' && twins?.kind === 'error' && mine.op === twins.op && isUnsure(mine, twins))
      return undefined
    // SQLite counts broken foreign keys otherwise than its check finds them: then both break, one of them later.
    const isEnd = mine?.kind === 'broken' || twins?.kind === 'broken'
    if (isEnd && captured.at(-1)?.kind === plain.at(-1)?.kind) return undefined
    // If they are at different operations, one has nothing to say of the earlier.
    const [first] = [mine, twins].filter((line) => line !== undefined).toSorted((a, b) => place(a) - place(b))
    const told = (line: Line | undefined): string => (line?.op === first?.op ? line?.text : undefined) ?? 'nothing'
    const what = `captured: ${told(mine)}\nplain:    ${told(twins)}`
    return { op: first?.op, kind: first?.kind ?? 'lines', what }
  }
  return undefined
}

function isUnsure(...lines: readonly Line[]): boolean {
  return lines.some(({ text }) => UNSURE.test(text))
}

type Place = (of: { readonly op: Op | undefined }) => number

/** Where operations stand in a script. */
function placesIn(script: Script): Place {
  const order = flatten(script.ops)
  return ({ op }) => (op === undefined ? -1 : order.indexOf(op))
}

function flatten(ops: readonly Op[]): Op[] {
  return ops.flatMap((op) => ('ops' in op ? [op, ...flatten(op.ops)] : [op]))
}
