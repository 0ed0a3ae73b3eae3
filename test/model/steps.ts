// What may happen to an object, as plain data: fast-check makes scripts of it and shrinks them.

import * as fc from 'fast-check'

/** The test's pipeline refuses events of type Poison every time. */
export type EventType = 'N' | 'Poison'

/** How a block of code runs: in our transactions, or in the platform's `ctx.storage.transactionSync`. */
type BlockKind = 'async' | 'sync' | 'platform'

/** A block of code: what it emits and the blocks inside it, in order. A failing block throws at its end. */
export interface Block {
  readonly kind: BlockKind
  readonly parts: readonly (EventType | Block)[]
  readonly fails: boolean
}

/** What happens to a send at the pipeline: the fates of durable-outbox/testing, except those that take time. */
export type SendFate = 'accept' | 'reject' | 'lose-answer' | 'deliver-twice' | 'hang' | 'full' | 'replay-older'

/** What happens while the first send of a run is in flight. */
export type StepDuring =
  | { readonly do: 'transact'; readonly block: Block }
  | { readonly do: 'pause' | 'resume' }
  | { readonly do: 'crash' | 'flush too' | 'alarm too' | 'replay too' }
  | { readonly do: 'delete all'; readonly next: Block }
  | { readonly do: 'redrive' | 'discard'; readonly choice: number | 'all' }

/** A run of the relay, the fates of its first sends, and what happens during the first of them. */
export interface Sending {
  readonly fates: readonly SendFate[]
  readonly during: readonly StepDuring[]
}

export type Step =
  | { readonly do: 'transact'; readonly block: Block }
  | ({ readonly do: 'alarm' | 'flush' } & Sending)
  | ({ readonly do: 'replay'; readonly from: number; readonly count: number } & Sending)
  | { readonly do: 'pause' | 'resume' | 'evict' | 'copy' | 'rename' | 'lose the alarm' | 'drop the named alarm' }
  | { readonly do: 'delete all'; readonly next: Block }
  | { readonly do: 'redrive' | 'discard'; readonly choice: number | 'all' }
  | { readonly do: 'clock' | 'set a named alarm'; readonly ms: number }

const types = fc.constantFrom<EventType>('N', 'N', 'N', 'Poison')
const fails = fc.integer({ min: 0, max: 4 }).map((n) => n === 4)

function blocks(kinds: BlockKind[], part: fc.Arbitrary<EventType | Block>, maxLength: number): fc.Arbitrary<Block> {
  return fc.record({ kind: fc.constantFrom(...kinds), parts: fc.array(part, { maxLength }), fails })
}

// An async block inside a synchronous one would run after it and is refused, so there is none.
const innermost = blocks(['sync', 'platform'], types, 3)
const inner = blocks(['async'], types, 3)
const block = fc.oneof(
  { weight: 3, arbitrary: blocks(['sync', 'async'], types, 7) },
  { weight: 1, arbitrary: blocks(['sync', 'platform'], fc.oneof(types, types, innermost), 4) },
  { weight: 1, arbitrary: blocks(['async'], fc.oneof(types, types, innermost, inner), 4) },
)

const choice = fc.oneof(fc.constant('all' as const), fc.nat(3))
const transact = fc.record({ do: fc.constant('transact' as const), block })
const judge = fc.record({ do: fc.constantFrom('redrive' as const, 'discard' as const), choice })
const deleteAll = fc.record({ do: fc.constant('delete all' as const), next: block })

const stepDuring: fc.Arbitrary<StepDuring> = fc.oneof(
  { weight: 6, arbitrary: transact },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constantFrom('pause' as const, 'resume', 'crash', 'flush too', 'alarm too', 'replay too'),
    }),
  },
  { weight: 1, arbitrary: deleteAll },
  { weight: 1, arbitrary: judge },
)

const fate: fc.Arbitrary<SendFate> = fc.oneof(
  { weight: 20, arbitrary: fc.constant('accept' as const) },
  {
    weight: 20,
    arbitrary: fc.constantFrom<SendFate>('reject', 'lose-answer', 'deliver-twice', 'full', 'replay-older'),
  },
  { weight: 1, arbitrary: fc.constant('hang' as const) },
)
const sending = {
  fates: fc.array(fate, { maxLength: 4 }),
  during: fc.oneof(
    { weight: 2, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.array(stepDuring, { minLength: 1, maxLength: 3 }) },
  ),
}

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: transact },
  { weight: 9, arbitrary: fc.record({ do: fc.constantFrom('alarm' as const, 'flush' as const), ...sending }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('replay' as const),
      from: fc.integer({ min: 1, max: 12 }),
      count: fc.integer({ min: 1, max: 6 }),
      ...sending,
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('evict' as const, 'pause', 'resume', 'resume') }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('copy' as const, 'rename', 'lose the alarm') }) },
  { weight: 1, arbitrary: deleteAll },
  { weight: 3, arbitrary: judge },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('clock' as const),
      ms: fc.constantFrom(1, 200, 5_000, 90_000, 3_600_000, -1, -5_000, -3_600_000),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('set a named alarm' as const), ms: fc.constantFrom(10, 10_000, 100_000) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('drop the named alarm' as const) }) },
)

export const scripts: fc.Arbitrary<Step[]> = fc.array(step, { minLength: 1, maxLength: 30, size: 'max' })

/** A script as a person would write it, one step per line. */
export function showScript(script: readonly Step[]): string {
  return script.map((each, index) => `${String(index + 1).padStart(3)}. ${show(each)}`).join('\n')
}

function show(each: Step | StepDuring): string {
  switch (each.do) {
    case 'transact':
      return showBlock(each.block)
    case 'delete all':
      return `delete all, and then ${showBlock(each.next)}`
    case 'redrive':
    case 'discard':
      return `${each.do} ${each.choice === 'all' ? 'all dead letters' : `dead letter #${each.choice + 1}`}`
    case 'clock':
      return `clock ${each.ms > 0 ? '+' : ''}${each.ms} ms`
    case 'set a named alarm':
      return `set a named alarm in ${each.ms} ms`
    case 'alarm':
    case 'flush':
      return each.do + showSending(each)
    case 'replay':
      return `replay LSN ${each.from} to ${each.from + each.count - 1}${showSending(each)}`
    default:
      return each.do
  }
}

function showSending({ fates, during }: Sending): string {
  const meeting = fates.length === 0 ? '' : `, sends meet ${fates.join(', ')}`
  return during.length === 0 ? meeting : `${meeting}; during the first send: ${during.map(show).join('; ')}`
}

/** `async { N N sync { Poison } throw }`. */
function showBlock({ kind, parts, fails: isFailing }: Block): string {
  const words = parts.map((part) => (typeof part === 'string' ? part : showBlock(part)))
  return [kind, '{', ...words, ...(isFailing ? ['throw'] : []), '}'].join(' ')
}
