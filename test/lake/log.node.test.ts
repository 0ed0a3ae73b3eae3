import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { logKey, logKeyOf, logName } from '../../src/lake/log.ts'

const names = fc.record({ ns: fc.string(), source: fc.string(), epoch: fc.string() })

describe('the name of a log', () => {
  it('[I8] differs for another ns, source or epoch, and leads back to its key', () => {
    fc.assert(
      fc.property(names, names, (a, b) => {
        expect(logKeyOf(logName(logKey(a)))).toBe(logKey(a))
        expect(logKey(a) === logKey(b)).toBe(a.ns === b.ns && a.source === b.source && a.epoch === b.epoch)
      }),
    )
  })

  it('contains the global source in the table', () => {
    expect(logName(logKey({ ns: 'acme', source: 'DO/Shop', epoch: 'e' }))).toEqual({
      ns: 'acme',
      source: 'acme/DO/Shop',
      epoch: 'e',
    })
  })
})
