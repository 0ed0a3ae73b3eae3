import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type CapturedContent, showCaptured, showKey, showRow } from '../../src/outbox/captured-values.ts'
import { textOf } from '../../src/sqlite/bytes.ts'

/** A text that is not UTF-8, as SQLite may hold it: `a`, and a byte that begins nothing. */
const ESCAPED = textOf(Uint8Array.of(0x61, 0xff))

function shown(value: unknown): unknown {
  const row = { value }
  showRow(row)
  return row.value
}

describe('a captured value', () => {
  it.each<[string, unknown, unknown]>([
    ['a text', 'Zoë', 'Zoë'],
    ['a number', 5, 5],
    ['NULL', null, null],
    ['a text that is not UTF-8', ESCAPED, { $base64: 'Yf8=' }],
    ['a BLOB', { $hex: '00FF' }, 'AP8='],
    ['an empty BLOB', { $hex: '' }, ''],
    ['a text of JSON', { $json: '{"a":1}' }, { a: 1 }],
    ['a scalar of JSON', { $json: '7' }, 7],
    ['the null of JSON', { $json: 'null' }, null],
    ['a text that is not JSON', { $json: '{a' }, { $text: '{a' }],
    ['JSON that is not UTF-8', { $json: ESCAPED }, { $base64: 'Yf8=' }],
    ['JSON with a number of 16 digits', { $json: '[1234567890123456]' }, { $json: '[1234567890123456]' }],
    ['JSON with a number of 15 digits', { $json: '[123456789012345]' }, [123_456_789_012_345]],
    ['JSON with half a surrogate pair', { $json: String.raw`["\ud800"]` }, { $json: String.raw`["\ud800"]` }],
    ['JSON that looks like ours: $json', { $json: '{"$json":1}' }, { $json: '{"$json":1}' }],
    ['JSON that looks like ours: $text', { $json: '{"$text":1}' }, { $json: '{"$text":1}' }],
    ['JSON that looks like ours: $base64', { $json: '{"$base64":1}' }, { $json: '{"$base64":1}' }],
    ['a REAL', { $real: [3, 1] }, 1.5],
    ['a large REAL', { $real: [1, -1023] }, 2 ** 1023],
    ['an object of another kind', { $real: 5 }, { $real: 5 }],
  ])('is shown as an event has it: %s', (_, stored, value) => {
    expect(shown(stored)).toEqual(value)
  })

  it('[I11] is JSON up to the depth that an event has left for it, and a text beyond', () => {
    const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)
    const depths = Array.from({ length: 70 }, (_, index) => index + 1)
    const deepest = depths.findLast((depth) => Array.isArray(shown({ $json: nested(depth) })))
    expect(shown({ $json: nested((deepest ?? 0) + 1) })).toEqual({ $json: nested((deepest ?? 0) + 1) })
    // One level of the 64 that an event may have is the row's own.
    expect(deepest).toBe(63)
  })

  it('[I11] is exactly the REAL that was stored, whatever its exponent', () => {
    fc.assert(
      fc.property(fc.integer({ min: -(2 ** 30), max: 2 ** 30 }), fc.integer({ min: -900, max: 1074 }), (m, k) => {
        const value = shown({ $real: [m, k] })
        // In steps that lose nothing, as long as the result is a normal number.
        let expected = m
        for (let step = 0; step < Math.abs(k); step += 1) expected *= k > 0 ? 0.5 : 2
        if (Math.abs(expected) > 2 ** -1021) expect(value).toBe(expected)
      }),
    )
    expect(shown({ $real: [1, 1074] })).toBe(Number.MIN_VALUE)
  })
})

describe('a captured event', () => {
  it('is completed in place: its key, and both of its rows', () => {
    const content = {
      captured: 1,
      key: ESCAPED,
      before: { body: { $hex: '01' } },
      after: { body: { $hex: '02' } },
    } as unknown as CapturedContent
    showCaptured(content)
    expect(content).toStrictEqual({
      key: "CAST(X'61FF' AS TEXT)",
      before: { body: 'AQ==' },
      after: { body: 'Ag==' },
    })
  })

  it('needs neither a key nor rows', () => {
    const content = { captured: 1, type: 'cdc.delete' } as unknown as CapturedContent
    showCaptured(content)
    expect(content).toStrictEqual({ type: 'cdc.delete' })
  })

  it('keeps a key that is UTF-8 as it is', () => {
    expect(showKey('Zoë')).toBe('Zoë')
  })
})
