import { eventLimits } from 'durable-outbox'
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { eventInputSchema } from '../../src/event/create-event.ts'
import { hasPlainFields, isPlainText } from '../../src/event/plain-event.ts'

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

it('recognises what the schema accepts and nothing else, and leaves text with escapes to the schema', () => {
  fc.assert(
    fc.property(fc.oneof({ weight: 9, arbitrary: event }, fc.tuple(event, stranger).map(withStranger)), (candidate) => {
      const isAccepted = eventInputSchema.safeParse(candidate).success
      const isRecognised = hasPlainFields(candidate) && isPlainText(JSON.stringify(candidate))
      expect(isRecognised).toBe(isAccepted && !JSON.stringify(candidate).includes('\\u'))
    }),
    { numRuns: 500 },
  )
})

it('leaves an array with a hole to the schema', () => {
  const list: unknown[] = []
  list.length = 1
  expect(hasPlainFields({ type: 'A', data: { list } })).toBe(false)
})

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
