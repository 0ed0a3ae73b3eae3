import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { EncodedEvent } from '../../src/event/create-event.ts'
import { ROW_BYTES_MAX, ROW_EVENTS_MAX } from '../../src/outbox/limits.ts'
import {
  envelopeBytes,
  type OutboxRow,
  parseContents,
  readContents,
  readRecords,
  readRow,
  splitRows,
  toEvent,
} from '../../src/outbox/log.ts'

const IDENTITY = { ns: 'acme', source: 'DO/Shop', epoch: '01ARZ3NDEKTSV4RRFFQ69G5FAV' }
const NOW_MS = Date.UTC(2026, 10, 22, 8, 30)
const TIME = '2026-11-22T08:30:00.000Z'

/** A row of which `lsn` is the last. */
function row(lsn: number, events: object[], more: Partial<OutboxRow> = {}): OutboxRow {
  const bytes = 100 * events.length
  return { lsn, count: events.length, bytes, txid: `tx-${lsn}`, time: NOW_MS, events: JSON.stringify(events), ...more }
}

function contents(count: number): { id: string; type: string }[] {
  return Array.from({ length: count }, (_, index) => ({ id: `id-${index}`, type: 'A' }))
}

function encoded(json: string, bytes = json.length): EncodedEvent {
  return { json, bytes } as EncodedEvent
}

describe('the rows of a transaction', () => {
  it('[I7] hold all events in their order, each row as large as it may be and not larger', () => {
    const events = fc.array(fc.integer({ min: 1, max: ROW_BYTES_MAX / 2 }), { maxLength: 12 })
    fc.assert(
      fc.property(events, fc.integer({ min: 0, max: 500 }), (sizes, envelope) => {
        const rows = splitRows(
          sizes.map((bytes, index) => encoded(String(index), bytes)),
          envelope,
        )
        const read = rows.map(({ events }) => JSON.parse(events) as number[])
        expect(read.flat()).toEqual(sizes.map((_, index) => index))
        expect(rows.map(({ count }) => count)).toEqual(read.map(({ length }) => length))
        const bytesOf = (indexes: number[]) => indexes.reduce((sum, index) => sum + (sizes[index] ?? 0) + envelope, 0)
        expect(rows.map(({ bytes }) => bytes)).toEqual(read.map(bytesOf))
        for (const [place, indexes] of read.entries()) {
          if (indexes.length > 1) expect(bytesOf(indexes)).toBeLessThanOrEqual(ROW_BYTES_MAX)
          const [next] = read[place + 1] ?? []
          if (next !== undefined) expect(bytesOf([...indexes, next])).toBeGreaterThan(ROW_BYTES_MAX)
        }
      }),
    )
  })

  it('[I7] hold so many events, and so many bytes, to the last one', () => {
    const sizes = (count: number, bytes: number) =>
      splitRows(
        Array.from({ length: count }, () => encoded('0', bytes)),
        0,
      ).map(({ count }) => count)
    expect(sizes(ROW_EVENTS_MAX, 1)).toEqual([ROW_EVENTS_MAX])
    expect(sizes(ROW_EVENTS_MAX + 1, 1)).toEqual([ROW_EVENTS_MAX, 1])
    expect(sizes(2, ROW_BYTES_MAX / 2)).toEqual([2])
    expect(sizes(2, ROW_BYTES_MAX / 2 + 1)).toEqual([1, 1])
    expect(sizes(2, ROW_BYTES_MAX + 1)).toEqual([1, 1])
    expect(sizes(0, 1)).toEqual([])
  })

  it('[I7] leave room for the largest envelope that an event may have on the wire', () => {
    const largest = Number.MAX_SAFE_INTEGER
    const content = { id: 'x', type: 'A' }
    const [record] = readRecords(
      IDENTITY,
      [row(largest, [{ ...content, redrivenFrom: largest }], { txid: IDENTITY.epoch })],
      { first: 1, last: largest, retries: largest },
    )
    const sent = JSON.stringify(record).length - JSON.stringify(content).length
    expect(envelopeBytes(IDENTITY)).toBeGreaterThanOrEqual(sent)
    expect(envelopeBytes(IDENTITY)).toBeLessThan(sent + 10)
  })
})

describe('a row', () => {
  it('[I2] gives its events the LSNs up to its own, and what it says once', () => {
    expect(readRow(IDENTITY, row(7, contents(3)))).toEqual(
      [5, 6, 7].map((lsn, index) => ({
        id: `id-${index}`,
        type: 'A',
        timestamp: TIME,
        ns: 'acme',
        txid: 'tx-7',
        lsn,
        _meta: { schemaVersion: 1, source: 'DO/Shop', epoch: IDENTITY.epoch },
      })),
    )
  })

  it('is read in a range of LSNs, both ends included', () => {
    const lsnsOf = (...range: number[]) => readRow(IDENTITY, row(7, contents(4)), ...range).map(({ lsn }) => lsn)
    expect([lsnsOf(), lsnsOf(5), lsnsOf(5, 6), lsnsOf(0, 4), lsnsOf(8)]).toEqual([
      [4, 5, 6, 7],
      [5, 6, 7],
      [5, 6],
      [4],
      [],
    ])
  })

  it('shows what was captured', () => {
    const captured = { captured: 1, type: 'cdc.insert', after: { body: { $hex: '01' } } }
    const plain = { captured: 0, type: 'A', after: { body: { $hex: '01' } } }
    expect(readContents(row(2, [captured, plain]))).toEqual([{ type: 'cdc.insert', after: { body: 'AQ==' } }, plain])
  })

  it.each<[string, Partial<OutboxRow>, string]>([
    ['is not JSON', { events: '[{' }, "the row that ends at LSN 7 can't be read: SyntaxError"],
    ['holds another number of events', { count: 3 }, 'I2: the row that ends at LSN 7 does not hold its 3 events'],
    ['is no array', { events: '{"length":2}' }, 'I2: the row that ends at LSN 7 does not hold its 2 events'],
  ])('[I3] that %s says so in the place of each of its events', (_, damage, reason) => {
    const damaged = row(7, contents(2), damage)
    expect(parseContents(damaged)).toBeInstanceOf(Error)
    const read = readContents(damaged)
    expect(read).toHaveLength(damaged.count)
    for (const content of read)
      expect(content).toEqual({ id: '', type: 'cdc.unreadable', data: { reason: expect.stringContaining(reason) } })
  })
})

describe('the records of a batch', () => {
  const rows = [
    row(3, contents(3)),
    row(4, contents(1), { time: NOW_MS + 1 }),
    row(6, contents(2), { time: NOW_MS + 1 }),
  ]

  it('[I4] are the events of a range, as they go over the wire', () => {
    const records = readRecords(IDENTITY, rows, { first: 2, last: 5, retries: 0 })
    expect(records.map(({ lsn, txid, timestamp }) => [lsn, txid, timestamp])).toEqual([
      [2, 'tx-3', TIME],
      [3, 'tx-3', TIME],
      [4, 'tx-4', '2026-11-22T08:30:00.001Z'],
      [5, 'tx-6', '2026-11-22T08:30:00.001Z'],
    ])
    expect(records[0]).toEqual({
      id: 'id-1',
      type: 'A',
      ...IDENTITY,
      lsn: 2,
      txid: 'tx-3',
      timestamp: TIME,
      _meta: { schemaVersion: 1, source: 'DO/Shop', epoch: IDENTITY.epoch },
    })
  })

  it('[I4] share one _meta, which says how often they were sent', () => {
    const records = readRecords(IDENTITY, rows, { first: 1, last: 6, retries: 2 })
    expect(new Set(records.map(({ _meta }) => _meta)).size).toBe(1)
    expect(records[0]?._meta).toEqual({ schemaVersion: 1, source: 'DO/Shop', epoch: IDENTITY.epoch, retries: 2 })
  })

  it('say in a _meta of their own what is of one event alone', () => {
    const own = [
      { type: 'A', redrivenFrom: 9 },
      { type: 'B', dataVersion: 2 },
      { type: 'C', correlationId: 'c', timestamp: '1999-12-31T00:00:00Z', captured: 1, key: 'k' },
    ]
    const [a, b, c] = readRecords(IDENTITY, [row(3, own)], { first: 1, last: 3, retries: 1 })
    const shared = { schemaVersion: 1, source: 'DO/Shop', epoch: IDENTITY.epoch, retries: 1 }
    const envelope = { ...IDENTITY, txid: 'tx-3' }
    expect(a).toStrictEqual({ type: 'A', ...envelope, lsn: 1, timestamp: TIME, _meta: { ...shared, redrivenFrom: 9 } })
    expect(b).toStrictEqual({ type: 'B', ...envelope, lsn: 2, timestamp: TIME, _meta: { ...shared, dataVersion: 2 } })
    expect(c).toStrictEqual({
      type: 'C',
      key: 'k',
      correlation_id: 'c',
      ...envelope,
      lsn: 3,
      timestamp: '1999-12-31T00:00:00Z',
      _meta: shared,
    })
  })

  it('show what was captured, and nothing else', () => {
    const after = { body: { $hex: '01' } }
    const [captured, plain] = readRecords(IDENTITY, [row(2, [{ captured: 1, after }, { after }])], {
      first: 1,
      last: 2,
      retries: 0,
    })
    expect([captured?.after, plain?.after]).toEqual([{ body: 'AQ==' }, after])
  })

  it('[I2] are refused if a row does not hold its events', () => {
    const read = (damaged: OutboxRow) => () => readRecords(IDENTITY, [damaged], { first: 1, last: 9, retries: 0 })
    expect(read(row(3, contents(3), { count: 2 }))).toThrow('I2: the row that ends at LSN 3 does not hold its 2 events')
    expect(read(row(3, [], { count: 2, events: '7' }))).toThrow('I2')
  })

  it('are none for no rows', () => {
    expect(readRecords(IDENTITY, [], { first: 1, last: 9, retries: 0 })).toEqual([])
  })
})

describe('an event in full', () => {
  it('keeps a time of its own, and says in _meta what is of it alone', () => {
    const content = { id: 'x', type: 'A', timestamp: '1999-12-31T00:00:00Z', redrivenFrom: 9, dataVersion: 2 }
    expect(toEvent(IDENTITY, { lsn: 4, txid: 'tx', time: NOW_MS }, content)).toStrictEqual({
      id: 'x',
      type: 'A',
      timestamp: '1999-12-31T00:00:00Z',
      ns: 'acme',
      txid: 'tx',
      lsn: 4,
      _meta: { schemaVersion: 1, source: 'DO/Shop', epoch: IDENTITY.epoch, redrivenFrom: 9, dataVersion: 2 },
    })
  })
})
