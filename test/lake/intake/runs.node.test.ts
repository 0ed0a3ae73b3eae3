import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { CommittedRecord } from '../../../src/event/record.ts'
import { type LSNRange, touches, unite } from '../../../src/lake/intake/ranges.ts'
import { classify, connectRuns, groupByLog, MARK_LENGTH, markFork, runsOf } from '../../../src/lake/intake/runs.ts'
import { logKey } from '../../../src/lake/log.ts'

const EPOCH = '01ARZ3NDEKTSV4RRFFQ69G5FAV'

/** @param event tells apart what has the same LSN. */
function record(lsn: number, event = 'A', fields: Partial<CommittedRecord> = {}): CommittedRecord {
  return {
    id: `01ARZ3NDEKTSV4RR${String(lsn).padStart(9, '0')}${event}`,
    type: 'T',
    timestamp: '2026-11-22T08:30:00.000Z',
    ns: 'acme',
    source: 'DO/Shop',
    epoch: EPOCH,
    lsn,
    txid: 'tx',
    _meta: { schemaVersion: 1, source: 'DO/Shop' },
    ...fields,
  }
}

function markOf({ id }: CommittedRecord): string {
  return id.slice(-MARK_LENGTH)
}

const lsns = fc.integer({ min: 1, max: 12 })
const records = fc.array(
  fc.record({ lsn: lsns, event: fc.constantFrom('A', 'B', 'C') }).map(({ lsn, event }) => record(lsn, event)),
)

/** Some LSNs as ranges, with the events that took them. */
const known = fc
  .array(fc.record({ lsn: lsns, event: fc.constantFrom('A', 'B', undefined) }))
  .map((all) => new Map(all.map(({ lsn, event }) => [lsn, event] as const)))

function rangesOf(all: Iterable<number>): LSNRange[] {
  return unite(Array.from(all, (lsn) => ({ first: lsn, last: lsn })))
}

describe('records, grouped by their log', () => {
  it('[I8] are separate if the ns, the source or the epoch differs, and sorted by LSN', () => {
    const fields = fc.record({
      ns: fc.constantFrom('acme', 'umbrella'),
      source: fc.constantFrom('DO/Shop', 'DO/Store'),
      epoch: fc.constantFrom(EPOCH, '01BX5ZZKBKACTAV9WEVGEMMVRZ'),
    })
    const ofAnyLog = fc.array(fc.tuple(lsns, fields).map(([lsn, log]) => record(lsn, 'A', log)))
    fc.assert(
      fc.property(ofAnyLog, (all) => {
        const expected = Map.groupBy(all, logKey)
        for (const group of expected.values()) group.sort((a, b) => a.lsn - b.lsn)
        expect(groupByLog(all)).toEqual(expected)
      }),
    )
  })
})

describe('records of a log, compared with what came before', () => {
  it('[I5] are each new, or a fork, or known', () => {
    fc.assert(
      fc.property(records, known, (all, before) => {
        const marksOf = (lsn: number) => new Set(before.get(lsn) && [markOf(record(lsn, before.get(lsn)))])
        const sorted = all.toSorted((a, b) => a.lsn - b.lsn)
        const { fresh, forks } = classify(sorted, rangesOf(before.keys()), marksOf)

        // The model: the events that have taken an LSN; if those are forgotten, another one can't be told from them.
        const taken = new Map<number, string[]>(
          [...before].map(([lsn, event]) => [lsn, event === undefined ? [] : [event]]),
        )
        const expected = { fresh: [] as CommittedRecord[], forks: [] as CommittedRecord[] }
        for (const one of sorted) {
          const event = one.id.slice(-1)
          const events = taken.get(one.lsn)
          if (events === undefined) expected.fresh.push(one)
          else if (events.length > 0 && !events.includes(event)) expected.forks.push(one)
          taken.set(one.lsn, [...(events ?? []), event])
        }
        expect({ fresh, forks }).toEqual(expected)
      }),
      { numRuns: 500 },
    )
  })

  it('asks for no ids if all are new', () => {
    const asked: number[] = []
    const marksOf = (lsn: number) => {
      asked.push(lsn)
      return new Set<string>()
    }
    classify([record(4), record(5)], [{ first: 1, last: 3 }], marksOf)
    expect(asked).toEqual([])
    classify([record(3), record(4)], [{ first: 1, last: 3 }], marksOf)
    expect(asked).toEqual([3])
  })

  it('are none if none came', () => {
    expect(classify([], [{ first: 1, last: 3 }], () => new Set())).toEqual({ fresh: [], forks: [] })
  })
})

describe('runs', () => {
  it('[I5] hold all records in their order, with the marks of their ids, and no two of them touch', () => {
    fc.assert(
      fc.property(fc.uniqueArray(lsns), (all) => {
        const sorted = all.toSorted((a, b) => a - b).map((lsn) => record(lsn))
        const runs = runsOf('log', sorted)
        expect(runs.flatMap((run) => run.records)).toEqual(sorted)
        expect(runs.map(({ first, last }) => ({ first, last }))).toEqual(rangesOf(all))
        for (const run of runs) {
          expect(run.log).toBe('log')
          expect(run.ids).toBe(run.records.map(markOf).join(''))
        }
      }),
    )
  })

  it('[I5] connect to their log, or are held if they would leave a hole', () => {
    const spans = fc.array(
      fc.tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 0, max: 3 })).map(([first, more]) => ({
        first,
        last: first + more,
      })),
    )
    fc.assert(
      fc.property(spans, spans, (runs, settled) => {
        const { connected, held } = connectRuns(runs, settled)
        expect([...connected, ...held].toSorted((a, b) => a.first - b.first || a.last - b.last)).toEqual(
          runs.toSorted((a, b) => a.first - b.first || a.last - b.last),
        )
        // Each that connects touches what is there by then; what is held touches nothing in the end.
        let ranges = unite(settled)
        const lowest = Math.min(...runs.map(({ first }) => first))
        for (const run of connected) {
          if (ranges.length === 0) expect(run.first).toBe(lowest)
          else expect(touches(ranges, run)).toBe(true)
          ranges = unite([...ranges, run])
        }
        for (const run of held) expect(touches(ranges, run)).toBe(false)
        if (runs.length > 0 && settled.length === 0) expect(connected).not.toEqual([])
      }),
      { numRuns: 500 },
    )
  })

  it('connect one after the other, whichever came first', () => {
    const [low, middle, high] = [
      { first: 4, last: 5 },
      { first: 6, last: 6 },
      { first: 7, last: 9 },
    ]
    expect(connectRuns([high, low, middle], [{ first: 1, last: 3 }])).toEqual({
      connected: [low, middle, high],
      held: [],
    })
    // From above, a run connects only once the one above it has.
    expect(connectRuns([low, middle, high], [{ first: 10, last: 10 }])).toEqual({
      connected: [high, middle, low],
      held: [],
    })
  })
})

describe('a fork', () => {
  it('is marked, and is otherwise the same record', () => {
    const original = record(1)
    expect(markFork(original)).toEqual({ ...original, _meta: { ...original._meta, isFork: true } })
    expect(original._meta).not.toHaveProperty('isFork')
  })
})
