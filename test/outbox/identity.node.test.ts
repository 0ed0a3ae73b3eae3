import { describe, expect, it } from 'vitest'
import { checkIdentity, checkTime, decideEpoch, type Owner, type StoredIdentity } from '../../src/outbox/identity.ts'

const EPOCH = '01ARZ3NDEKTSV4RRFFQ69G5FAV'
const GOOD = { ns: 'acme', source: 'DO/Shop', epoch: EPOCH }

describe('an identity', () => {
  it('may be any name', () => {
    expect(() => checkIdentity(GOOD)).not.toThrow()
  })

  it.each<[string, object]>([
    ['ns: ', { ns: 'a\0b' }],
    ['source: ', { source: '' }],
    ['epoch: ', { epoch: 'today' }],
  ])('is refused if no receiver would accept it: %s', (problem, fields) => {
    const check = () => checkIdentity({ ...GOOD, ...fields })
    expect(check).toThrow(expect.objectContaining({ code: 'invalid-config' }))
    expect(check).toThrow(`outbox: ${problem}`)
    expect(check).toThrow(
      "the ns is the object's name unless configure() returns one: name the object otherwise, or set",
    )
  })
})

describe('the time of a transaction', () => {
  it.each([0, 253_402_300_799_999])('may be %d', (ms) => {
    expect(() => checkTime(ms)).not.toThrow()
  })

  it.each([-1, 253_402_300_800_000, NaN])('is refused if it is %d', (ms) => {
    const check = () => checkTime(ms)
    expect(check).toThrow(expect.objectContaining({ code: 'invalid-config' }))
    expect(check).toThrow(`transaction: the clock says ${ms}; now() must return milliseconds`)
  })
})

describe('an epoch', () => {
  const stored: StoredIdentity = { ...GOOD, object: 'id-1', isPending: false }
  const owner: Owner = { object: 'id-1', ns: 'acme', source: 'DO/Shop' }

  it.each<[string, Partial<StoredIdentity>, Partial<Owner>, 'continues' | 'begins']>([
    ['for the same owner', {}, {}, 'continues'],
    ['in a copy', {}, { object: 'id-2' }, 'begins'],
    ['in a copy with events pending', { isPending: true }, { object: 'id-2' }, 'begins'],
    ['if nobody noted the object', { object: null }, { object: 'id-2' }, 'continues'],
    ['if the object is not known', {}, { object: undefined }, 'continues'],
    ['for a new source', {}, { source: 'DO/Store' }, 'begins'],
    ['for a new ns', {}, { ns: 'umbrella' }, 'begins'],
    ['if the ns is not known', {}, { ns: undefined }, 'continues'],
    ['for a new source while events are pending', { isPending: true }, { source: 'DO/Store' }, 'continues'],
    ['for a new ns while events are pending', { isPending: true }, { ns: 'umbrella' }, 'continues'],
  ])('[I9] %s', (_, before, now, decision) => {
    expect(decideEpoch({ ...stored, ...before }, { ...owner, ...now })).toBe(decision)
  })
})
