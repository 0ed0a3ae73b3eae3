import { describe, expect, it } from 'vitest'
import { compareRows } from '../../../src/lake/iceberg/order.ts'
import type { Row } from '../../../src/lake/iceberg/schema.ts'

describe('the order of rows', () => {
  it('is that of their columns, one after the other, as engines order values, and null comes first', () => {
    const sorted: Row[] = [
      { ns: null, lsn: 9n },
      { lsn: 10n },
      { ns: 'a', lsn: null },
      { ns: 'a', lsn: 9n },
      { ns: 'a', lsn: 10n },
      { ns: '\uffff', lsn: 1n },
      { ns: '\u{10000}', lsn: 1n },
    ]
    const compare = compareRows(['ns', 'lsn'])
    for (const [i, a] of sorted.entries())
      for (const [j, b] of sorted.entries()) expect(Math.sign(compare(a, b))).toBe(Math.sign(i - j))
  })

  it('does not see other columns', () => {
    expect(compareRows(['ns'])({ ns: 'a', id: '1' }, { ns: 'a', id: '2' })).toBe(0)
    expect(compareRows([])({ ns: 'a' }, { ns: 'b' })).toBe(0)
  })
})
