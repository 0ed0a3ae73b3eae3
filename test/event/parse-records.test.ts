import { eventRecordSchema } from 'durable-outbox'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseRecordsJSON } from '../../src/event/parse-records.ts'
import { EPOCH, record } from '../testing/record.ts'
import { recordSchema } from './oracle.ts'

const refuse = (index: number, problem: string): Error => new Error(`${index} ${problem}`)

const FULL = record('acme', 1, {
  correlation_id: 'req_1',
  op: 'c',
  store: 'document',
  table: 'Customer',
  key: 'cust_1',
  before: { name: 'Alice' },
  after: { name: 'Alïce', list: [1, null, { deep: true }] },
  actor: 'User/nathan',
  data: {},
  visibility: 'team',
  _meta: { schemaVersion: 1, source: 'DO/Test', epoch: EPOCH, retries: 2, region: 'weur' },
})

/** Values that one field or another takes, and values that none does. */
const value = fc.oneof(
  fc.constantFrom<unknown>(
    EPOCH,
    EPOCH.toLowerCase(),
    '2026-11-22T08:30:00Z',
    '2026-11-22T08:30:00.123456Z',
    '2026-02-30T08:30:00Z',
    '2026-11-22T08:30:00+00:00',
    '\0',
    '\uD800',
    '\\u0000',
    'x'.repeat(1_025),
    0,
    1.5,
    2 ** 53,
    null,
    [],
    {},
    { schemaVersion: 1, source: 's' },
    { schemaVersion: 0, source: 's' },
    { schemaVersion: 1, source: 's', retries: -1 },
    { schemaVersion: 1, source: 's', epoch: 'none' },
  ),
  fc.jsonValue(),
)

describe('parseRecordsJSON', () => {
  it('accepts good records as they are', () => {
    const { epoch: _epoch, lsn: _lsn, txid: _txid, ...unlogged } = FULL
    const records = [record('acme', 1), FULL, unlogged]
    expect(parseRecordsJSON(JSON.stringify(records), refuse)).toEqual({ records, isVerbatim: true })
  })

  it('leaves out a field that no record has, and reports that it did', () => {
    const { records, isVerbatim } = parseRecordsJSON(JSON.stringify([FULL, { ...FULL, trace: 't' }]), refuse)
    expect(isVerbatim).toBe(false)
    expect(records).toEqual([FULL, FULL])
  })

  it.each(['{}', 'null', '7', '[', ''])('refuses %s, which is not an array', (json) => {
    expect(() => parseRecordsJSON(json, refuse)).toThrow('-1 records must be an array, as JSON')
  })

  it('names the bad record, and what is bad in it', () => {
    expect(() => parseRecordsJSON(JSON.stringify([FULL, { ...FULL, ns: '' }]), refuse)).toThrow(/^1 ns: /)
  })

  it('has the verdict of the schema, as the exported one has, for any value of any field', () => {
    const change = fc.record({ name: fc.constantFrom(...Object.keys(FULL), 'other'), value, isGone: fc.boolean() })
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
        const changed: Record<string, unknown> = { ...FULL }
        for (const { name, value, isGone } of changes)
          if (isGone) delete changed[name]
          else changed[name] = value
        const json = JSON.stringify([changed])
        const verdict = recordSchema.safeParse(JSON.parse(json)[0])
        expect(eventRecordSchema.safeParse(JSON.parse(json)[0])).toMatchObject(
          verdict.success ? verdict : { success: false },
        )
        if (verdict.success) expect(parseRecordsJSON(json, refuse).records).toEqual([verdict.data])
        else expect(() => parseRecordsJSON(json, refuse)).toThrow(/^0 /)
      }),
      { numRuns: 2_000 },
    )
  })
})
