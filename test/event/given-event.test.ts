import { eventLimits } from 'durable-outbox'
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { isPlainText } from '../../src/event/json.ts'
import { givenEventFields } from '../../src/event/unified-event.ts'
import { givenEventSchema } from './oracle.ts'

/** Text around the lines that are drawn: half a surrogate pair, NUL, other escapes, and what only looks like one. */
const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom('', '\0', 'a\0b', '\uD83D', '\uDE00x', '\uD83D\uDE00', '\u0001', '\n"\\', 'C:\\users', '\\u0000'),
  fc.constantFrom(
    'x'.repeat(eventLimits.nameLength),
    'x'.repeat(eventLimits.nameLength + 1),
    '__proto__',
    'toJSON',
    'constructor',
  ),
)
const leaf = fc.oneof(
  text,
  fc.double(),
  fc.constantFrom(null, undefined, true, 0, -0, 2 ** 60, Number.NaN, Infinity, 1n, Symbol('s'), () => 1),
)
const plainText = fc.string({ unit: 'grapheme', minLength: 1 })
const number = fc.double({ noNaN: true, noDefaultInfinity: true })
const json = fc.anything({ key: plainText, values: [plainText, number, fc.boolean(), fc.constant(null)], maxDepth: 3 })
const anything = fc.oneof(
  text,
  fc.anything({
    key: text,
    values: [leaf],
    maxDepth: 3,
    withBigInt: true,
    withDate: true,
    withMap: true,
    withNullPrototype: true,
    withObjectString: true,
    withSet: true,
    withSparseArray: true,
    withTypedArray: true,
  }),
  fc.integer({ min: eventLimits.depth - 2, max: eventLimits.depth + 2 }).map(nested),
)

const name = often(plainText)
const content = often(fc.dictionary(plainText, json))
const event = fc.record(
  {
    id: often(fc.ulid()),
    type: name,
    timestamp: often(fc.date({ noInvalidDate: true }).map((date) => date.toISOString())),
    correlationId: name,
    op: often(fc.constantFrom('c', 'u', 'd', 'r')),
    store: often(fc.constantFrom('document', 'graph', 'relational', 'columnar', 'timeseries', 'vector')),
    table: name,
    key: name,
    before: content,
    after: content,
    actor: name,
    data: content,
    visibility: often(fc.constantFrom('user', 'team', 'public')),
  },
  { requiredKeys: [] },
)
const stranger = fc.record({
  field: fc.constantFrom('ns', 'lsn', '_meta', '__proto__', 'constructor'),
  value: anything,
})

it('a given event is good if and only if its schema accepts it, with its text read or known to be plain', () => {
  fc.assert(
    fc.property(fc.oneof({ weight: 9, arbitrary: event }, fc.tuple(event, stranger).map(withStranger)), (candidate) => {
      const isAccepted = givenEventSchema.safeParse(candidate).success
      expect(givenEventFields.problems(candidate).length === 0).toBe(isAccepted)
      if (isPlainText(String(stringify(candidate))))
        expect(givenEventFields.problems(candidate, true).length === 0).toBe(isAccepted)
    }),
    { numRuns: 1_000 },
  )
})

it('a given event is bad if an array in it has a hole', () => {
  const list: unknown[] = []
  list.length = 1
  expect(givenEventFields.problems({ type: 'A', data: { list } }, true)).toEqual([
    { path: ['data'], message: 'list[0] is undefined, which JSON cannot carry' },
  ])
})

/** Undefined for what JSON has no text for, such as a bigint. */
function stringify(value: unknown): string | undefined {
  try {
    return JSON.stringify(value)
  } catch {
    return undefined
  }
}

/** Mostly as it should be, sometimes anything at all. */
function often<T>(good: fc.Arbitrary<T>): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 19, arbitrary: good }, { weight: 1, arbitrary: anything })
}

function nested(levels: number): object {
  return levels === 0 ? {} : { deeper: nested(levels - 1) }
}

function withStranger([event, { field, value }]: [object, { field: string; value: unknown }]): Record<string, unknown> {
  return Object.fromEntries([...Object.entries(event), [field, value]])
}
