// What happens in a simulation, as plain data: a script is made from a seed, can be shortened, and stored in a file.

import { between, choose, createRandom, type Random } from '../harness/random.ts'
import type { Fate } from './platform/network.ts'
import type { Block, Emission, Work } from './work.ts'

/** Something that happens at a time, in milliseconds since the beginning. */
export type Step = { readonly atMs: number } & Happening

/** `who` is an object, or the lake; `way` is how two parties reach each other. */
type Happening =
  | { readonly do: 'write'; readonly who: string; readonly work: Work }
  | { readonly do: 'emit'; readonly ns: readonly number[] }
  | { readonly do: 'crash' | 'evict' | 'lose the alarm'; readonly who: string }
  | { readonly do: 'crash all' }
  | { readonly do: 'delete all' | 'pause' | 'resume' | 'flush'; readonly who: string }
  | { readonly do: 'replay'; readonly who: string; readonly from: number; readonly to: number }
  | { readonly do: 'set an alarm'; readonly who: string; readonly inMs: number }
  | { readonly do: 'meet'; readonly way: string; readonly callsBefore: number; readonly fate: Fate }
  | { readonly do: 'break'; readonly way: string; readonly ms: number }
  | { readonly do: 'set the clock'; readonly byMs: number }
  | { readonly do: 'set its clock'; readonly who: string; readonly aheadMs: number }
  | { readonly do: 'slow disk'; readonly who: string; readonly ms: number }
  | { readonly do: 'remember' | 'restore'; readonly who: string }
  | { readonly do: 'copy'; readonly who: string; readonly to: string }

export interface Script {
  readonly seed: number
  /** The names of the objects. */
  readonly objects: readonly string[]
  readonly steps: readonly Step[]
}

export const LAKE = 'table'
/** The Worker of the ingest, and the one that emits without an outbox. */
export const INGEST = 'ingest'
export const EMITTER = 'emitter'

/** Whether an object sends over HTTP. */
export function isRemote(object: string): boolean {
  return object.startsWith('remote')
}

/** The object of the ingest that remembers an object's batches. */
export function batchesOf(object: string): string {
  return `batches of ${object}`
}

/** The way from an object to the lake's binding, from there to the lake's object, and from that to its bucket. */
export const wayToLake = (object: string): string => `${object}>lake`
export const WAY_TO_TABLE = 'lake>table'
const WAY_TO_BUCKET = `${LAKE}>bucket`

/** How long the faults of one script last. */
const DURATION_MS = { min: 4_000, max: 60_000 }
const OBJECTS_MAX = 8
/** How the wall clock is set. Fifteen days are longer than any wait; from one end to the other is shorter than the lake remembers ids. */
const FIFTEEN_DAYS_MS = 15 * 86_400_000
const CLOCK_STEPS_MS = [
  -1,
  50,
  3_000,
  -3_000,
  90_000,
  -90_000,
  3_600_000,
  -3_600_000,
  FIFTEEN_DAYS_MS,
  -FIFTEEN_DAYS_MS,
]
export const CLOCK_OFFSET_MS_MAX = FIFTEEN_DAYS_MS
const SMALL_DURATION_MS = 200
/** A client of each object writes so often. */
const WRITES_EVERY_MS = { min: 40, max: 800 }
const EVENTS_PER_BLOCK_MAX = 3

/** Makes the script of a seed. */
export function createScript(seed: number): Script {
  const random = createRandom(seed, 'script')
  const objects = Array.from(
    { length: between(random, 1, OBJECTS_MAX) },
    (_, index) => `${random() < 0.25 ? 'remote' : 'ledger'}-${index + 1}`,
  )
  const endMs = between(random, DURATION_MS.min, DURATION_MS.max)
  const numbers = { next: 1 }
  const steps = objects.flatMap((who) => createWrites({ random, numbers, who, endMs }))
  if (random() < 0.3) steps.push(...createEmissions(random, numbers, endMs))
  steps.push(...createFaults(random, objects, endMs))
  return { seed, objects, steps: steps.toSorted((a, b) => a.atMs - b.atMs) }
}

/** A script without faults and with so few steps that the runtime can end after each of them. */
export function createSmallScript(seed: number): Script {
  const random = createRandom(seed, 'small script')
  const objects = [random() < 0.3 ? 'remote-1' : 'ledger-1']
  const numbers = { next: 1 }
  const steps = Array.from({ length: between(random, 1, 3) }, (): Step => {
    return {
      atMs: random() * SMALL_DURATION_MS,
      do: 'write',
      who: anyOf(random, objects),
      work: createWork(random, numbers),
    }
  })
  return { seed, objects, steps: steps.toSorted((a, b) => a.atMs - b.atMs) }
}

interface WriteOptions {
  readonly random: Random
  readonly numbers: { next: number }
  readonly who: string
  readonly endMs: number
}

function createWrites({ random, numbers, who, endMs }: WriteOptions): Step[] {
  const everyMs = between(random, WRITES_EVERY_MS.min, WRITES_EVERY_MS.max)
  const steps: Step[] = []
  for (let atMs = random() * everyMs; atMs < endMs; atMs += random() * 2 * everyMs)
    steps.push({ atMs, do: 'write', who, work: createWork(random, numbers) })
  return steps
}

function createEmissions(random: Random, numbers: { next: number }, endMs: number): Step[] {
  return Array.from({ length: between(random, 1, 20) }, () => {
    const ns = Array.from({ length: between(random, 1, EVENTS_PER_BLOCK_MAX) }, () => numbers.next++)
    return { atMs: random() * endMs, do: 'emit', ns }
  })
}

function createWork(random: Random, numbers: { next: number }): Work {
  const kind = choose(random, { sync: 50, async: 15, platform: 10, captured: 10 })
  if (kind !== 'captured') return createBlock(random, numbers, kind, 0)
  return { kind, ns: Array.from({ length: between(random, 1, EVENTS_PER_BLOCK_MAX) }, () => numbers.next++) }
}

function createBlock(random: Random, numbers: { next: number }, kind: Block['kind'], depth: number): Block {
  const does = Array.from({ length: between(random, depth, EVENTS_PER_BLOCK_MAX) }, (): Emission | Block => {
    if (depth < 2 && random() < 0.12) return createBlock(random, numbers, innerKind(random, kind), depth + 1)
    return { n: numbers.next++, by: choose(random, { emit: 80, store: 20, poison: 1 }) }
  })
  return { kind, does, fails: random() < 0.1 }
}

/** An async block inside a synchronous one would run after it, and is refused. */
function innerKind(random: Random, kind: Block['kind']): Block['kind'] {
  if (kind === 'async') return choose(random, { sync: 2, async: 1, platform: 1 })
  return choose(random, { sync: 1, platform: 1 })
}

/** A commit calls the bucket some times: without others before it, each fate would meet the first of them. */
const CALLS_BEFORE_MAX = 8

function meeting(random: Random, way: string, fate: Fate): Happening {
  return { do: 'meet', way, callsBefore: between(random, 0, CALLS_BEFORE_MAX), fate }
}

/** Enough that no two copies have one name. */
const COPY_NUMBER_MAX = 1_000_000

/** Each script has faults of some kinds only, so that there is time between them. */
function createFaults(random: Random, objects: readonly string[], endMs: number): Step[] {
  const kinds = FAULTS.filter(() => random() < 0.4)
  const total = between(random, 0, Math.ceil(endMs / 400))
  const steps: Step[] = []
  for (let count = 0; kinds.length > 0 && count < total; count++) {
    const kind = kinds[between(random, 0, kinds.length - 1)]
    if (kind !== undefined) steps.push(...kind(random, objects).map((step) => ({ ...step, atMs: random() * endMs })))
  }
  return restoresAfterCopies(steps)
}

type FaultKind = (random: Random, objects: readonly string[]) => Happening[]

const FAULTS: readonly FaultKind[] = [
  (random, objects) => [{ do: 'crash', who: anyOf(random, [...hostsOf(objects), LAKE]) }],
  () => [{ do: 'crash all' }],
  (random, objects) => [{ do: 'evict', who: anyOf(random, hostsOf(objects)) }],
  (random, objects) => [meeting(random, anyWay(random, objects), anyFate(random))],
  (random, objects) => [meeting(random, anyWay(random, objects), { do: 'lose the answer' })],
  (random) => [meeting(random, WAY_TO_BUCKET, anyFate(random))],
  (random, objects) => [{ do: 'break', way: anyWay(random, objects), ms: between(random, 100, 20_000) }],
  (random) => [{ do: 'set the clock', byMs: anyOf(random, CLOCK_STEPS_MS) }],
  (random, objects) => [
    {
      do: 'set its clock',
      who: anyOf(random, hostsOf(objects)),
      aheadMs: anyOf(random, [0, 0, 500, -500, 60_000, -60_000]),
    },
  ],
  (random, objects) => [{ do: 'slow disk', who: anyOf(random, hostsOf(objects)), ms: between(random, 0, 300) }],
  (random, objects) => [{ do: 'delete all', who: anyOf(random, objects) }],
  (random, objects) => [{ do: anyOf(random, ['pause', 'resume', 'resume', 'flush']), who: anyOf(random, objects) }],
  (random, objects) => [{ do: 'lose the alarm', who: anyOf(random, hostsOf(objects)) }],
  (random, objects) => [{ do: 'set an alarm', who: anyOf(random, objects), inMs: between(random, 0, 5_000) }],
  (random, objects) => {
    const who = anyOf(random, objects)
    return [{ do: 'copy', who, to: `copy ${between(random, 1, COPY_NUMBER_MAX)} of ${who}` }]
  },
  (random, objects) => {
    const from = between(random, 1, 30)
    return [{ do: 'replay', who: anyOf(random, objects), from, to: from + between(random, 0, 20) }]
  },
  (random, objects) => {
    const who = anyOf(random, objects)
    return [
      { do: 'remember', who },
      { do: 'restore', who },
    ]
  },
]

/** Nothing can be restored before it was copied. */
function restoresAfterCopies(steps: readonly Step[]): Step[] {
  const remembered = new Set<string>()
  return steps
    .toSorted((a, b) => a.atMs - b.atMs)
    .filter((step) => {
      if (step.do === 'remember') remembered.add(step.who)
      return step.do !== 'restore' || remembered.has(step.who)
    })
}

function anyOf<Item>(random: Random, items: readonly [Item, ...Item[]] | readonly Item[]): Item {
  const item = items[between(random, 0, items.length - 1)]
  if (item === undefined) throw new Error('there is nothing to choose from')
  return item
}

/** Everything that can die. */
function hostsOf(objects: readonly string[]): string[] {
  return [...objects, ...objects.filter(isRemote).map(batchesOf), LAKE]
}

function anyWay(random: Random, objects: readonly string[]): string {
  return anyOf(random, [...waysOf(anyOf(random, [...objects, EMITTER])), WAY_TO_TABLE, WAY_TO_BUCKET])
}

/** The ways that what an object sends goes. */
function waysOf(object: string): string[] {
  if (!isRemote(object)) return [wayToLake(object)]
  return [`${object}>${INGEST}`, `${INGEST}>${batchesOf(object)}`, wayToLake(batchesOf(object))]
}

const FATES = { 'lose the request': 2, hang: 1, 'lose the answer': 3, double: 2, 'kill the caller': 3, delay: 2 }

function anyFate(random: Random): Fate {
  const kind = choose(random, FATES)
  return kind === 'delay' ? { do: kind, ms: between(random, 10, 8_000) } : { do: kind }
}

/** A script as a person would write it, one step a line. */
export function showScript({ seed, objects, steps }: Script): string {
  return [`seed ${seed}, ${objects.join(', ')}`, ...steps.map(showStep)].join('\n')
}

function showStep(step: Step): string {
  const time = `${step.atMs.toFixed(1).padStart(9)} ms`
  switch (step.do) {
    case 'write':
      return `${time}  ${step.who}: ${showWork(step.work)}`
    case 'meet':
      return `${time}  ${step.way}: after ${step.callsBefore} calls, one meets: ${step.fate.do}${'ms' in step.fate ? ` of ${step.fate.ms} ms` : ''}`
    case 'break':
      return `${time}  ${step.way}: broken for ${step.ms} ms`
    case 'emit':
      return `${time}  emit ${step.ns.join(' ')}`
    case 'crash all':
      return `${time}  crash all`
    case 'set the clock':
      return `${time}  the clock is set by ${step.byMs} ms`
    default: {
      const { atMs: _atMs, do: what, who, ...rest } = step
      return `${time}  ${who}: ${what} ${Object.keys(rest).length > 0 ? JSON.stringify(rest) : ''}`.trimEnd()
    }
  }
}

/** `async { 1 sync { poison 2 } throw }`. */
function showWork(work: Work): string {
  if (work.kind === 'captured') return `captured { ${work.ns.join(' ')} }`
  const words = work.does.map((each) => {
    if (!('by' in each)) return showWork(each)
    return each.by === 'emit' ? String(each.n) : `${each.by} ${each.n}`
  })
  return [work.kind, '{', ...words, ...(work.fails ? ['throw'] : []), '}'].join(' ')
}
