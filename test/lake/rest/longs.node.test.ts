import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { quoteLongs, unquoteSnapshotIds } from '../../../src/lake/rest/longs.ts'

const id = fc.bigInt({ min: 1n, max: (1n << 63n) - 1n })

describe('the ids of snapshots in JSON', () => {
  it('come in exactly, whatever stands around them', () => {
    fc.assert(
      fc.property(
        id,
        fc.string({ unit: 'grapheme' }),
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        (long, text, double) => {
          const json = `{"text":${JSON.stringify(text)},"snapshot-id":${long},"double":${JSON.stringify(double)}}`
          const read = JSON.parse(quoteLongs(json)) as Record<string, unknown>
          expect(String(read['snapshot-id'])).toBe(String(long))
          expect(read['text']).toBe(text)
          // One that is a whole number beyond 2^53 comes in as its digits.
          expect(Number(read['double'])).toBe(JSON.parse(JSON.stringify(double)))
        },
      ),
    )
  })

  it('go out as numbers, and no other text does', () => {
    fc.assert(
      fc.property(id, fc.array(id), fc.string({ unit: 'grapheme' }), (long, others, text) => {
        const value = {
          'snapshot-id': String(long),
          'parent-snapshot-id': String(long),
          'snapshot-ids': others.map(String),
          'cdc.snapshot-id': '1234567890123456789',
          text: `${text} "snapshot-id":"1234567890123456789"`,
        }
        const sent = unquoteSnapshotIds(JSON.stringify(value))
        expect(sent).toContain(
          `"snapshot-id":${long},"parent-snapshot-id":${long},"snapshot-ids":[${others.join(',')}],`,
        )
        expect(JSON.parse(sent)).toMatchObject({ 'cdc.snapshot-id': '1234567890123456789', text: value.text })
      }),
    )
  })
})
