// The results of the queries of streams/ over a table with holes, doubles, forks, dead letters and a second epoch.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Row } from '../../src/lake/iceberg/schema.ts'
import { type Answer, again, committed, DAY_MS, emitted, FIRST_EPOCH, landedTable } from './landed.ts'
import { MINUTE_MS, NOW_MS, NULL_FOR_MISSING, SECOND_EPOCH, stream } from './landed.ts'

const HOUR_MS = 60 * MINUTE_MS

const double = committed(2, { id: 'double' })
const single = emitted({ id: 'emitted' })
const redriven = { id: 'redriven', _meta: '{"schemaVersion":1,"source":"DO/Shop","redrivenFrom":4}' }

const LOG: readonly Row[] = [
  committed(1),
  double,
  again(double),
  committed(4, { id: 'redriven' }),
  committed(5, { id: 'fork-a' }),
  committed(5, { id: 'fork-b' }),
  committed(8, redriven),
  single,
  again(single),
  emitted({ id: 'elsewhere', ns: 'other', source: 'other/DO/emitter' }),
]

function letter(lsn: number, event: string, reason: string, fields: Row = {}): Row {
  const data = JSON.stringify({ id: event, type: 'Order.placed', reason })
  return committed(lsn, { type: 'cdc.dead_letter', source: 'acme/DO/Mail', data, ...fields })
}

const LETTERS: readonly Row[] = [
  letter(1, 'open', '422: no total'),
  again(letter(2, 'mended', '422: no total')),
  committed(5, { id: 'mended', source: 'acme/DO/Mail', _meta: '{"source":"DO/Mail","redrivenFrom":2}' }),
  letter(3, 'given-up', '413: too large'),
  committed(6, { source: 'acme/DO/Mail', type: 'cdc.dead_letter_discarded', data: '{"lsn":3,"id":"given-up"}' }),
  letter(4, 'stubborn', '422: the first time'),
  letter(7, 'stubborn', '422: the second time'),
]

let table: Awaited<ReturnType<typeof landedTable>>

beforeAll(async () => {
  table = await landedTable([
    ...LOG,
    ...LETTERS,
    committed(1, { id: 'anew', epoch: SECOND_EPOCH }, { atMs: NOW_MS - 2 * HOUR_MS, takenMs: NOW_MS - HOUR_MS }),
    committed(2, { id: 'anew-2', epoch: SECOND_EPOCH }),
    committed(9, { id: 'long-ago' }, { atMs: NOW_MS - 100 * DAY_MS }),
    ...created(),
  ])
})

afterAll(() => table.remove())

/** Customers of two groups of tenants, today and a while ago, and the changes of an actor. */
function created(): Row[] {
  const today = { type: 'Customer.created', source: 'startups.a/DO/Customers', ns: 'startups.a', actor: 'User/alice' }
  const change = { type: 'cdc.update', op: 'u', actor: 'User/nathan', source: 'crm/DO/Crm', ns: 'crm' }
  const first = committed(1, { ...today, id: 'today' }, { atMs: NOW_MS })
  const newest = committed(3, { ...change, id: 'change-3' }, { atMs: NOW_MS - HOUR_MS })
  return [
    first,
    again(first),
    committed(2, { ...today, id: 'yesterday' }, { atMs: NOW_MS - 30 * HOUR_MS }),
    committed(1, { ...today, id: 'foreign', ns: 'grownups.b', source: 'grownups.b/DO/Customers' }),
    committed(2, { ...change, id: 'change-2' }, { atMs: NOW_MS - 2 * DAY_MS }),
    newest,
    again(newest),
    committed(4, { ...change, id: 'read', op: 'r', type: 'cdc.read' }),
    committed(1, { ...change, id: 'change-1' }, { atMs: NOW_MS - 91 * DAY_MS }),
  ]
}

function column(rows: Answer, name: string): unknown[] {
  return rows.map((row) => row[name])
}

describe('events_once', () => {
  async function once(condition: string): Promise<Answer> {
    return table.query(`WITH events AS (${stream('events_once.sql')}) SELECT * FROM events WHERE ${condition}
      ORDER BY epoch, lsn, id`)
  }

  it('[I5] shows a batch that landed twice once, and an event of an emitter too', async () => {
    const rows = await once("id IN ('double', 'emitted')")
    expect(rows.map((row) => [row['id'], row['__ingest_ts']])).toEqual([
      ['double', new Date(NOW_MS - 10 * MINUTE_MS).toISOString()],
      ['emitted', new Date(NOW_MS - 10 * MINUTE_MS).toISOString()],
    ])
  })

  it('shows both of two events that claim one LSN', async () => {
    expect(column(await once("lsn = 5 AND source = 'acme/DO/Shop'"), 'id')).toEqual(['fork-a', 'fork-b'])
  })

  it('[I10] shows an event that was redriven after it had landed at both its places in the log', async () => {
    expect(column(await once("id = 'redriven'"), 'lsn')).toEqual([4, 8])
  })

  it('keeps the epochs of a log apart', async () => {
    expect(await once("lsn = 1 AND source = 'acme/DO/Shop'")).toMatchObject([
      { epoch: FIRST_EPOCH },
      { epoch: SECOND_EPOCH },
    ])
  })

  it('leaves out what was ingested before its window', async () => {
    expect(await once("id IN ('long-ago', 'change-1')")).toEqual([])
  })
})

describe('customers-created-today', () => {
  it('finds them over all objects, each once', async () => {
    const rows = await table.query(stream('queries/customers-created-today.sql'))
    expect(rows).toEqual([
      {
        id: 'today',
        type: 'Customer.created',
        timestamp: new Date(NOW_MS).toISOString(),
        ns: 'startups.a',
        actor: 'User/alice',
        data: null,
      },
    ])
  })
})

describe('events-by-type-and-hour', () => {
  it('counts each event of the last day once, the newest hour first', async () => {
    const rows = await table.query(stream('queries/events-by-type-and-hour.sql'))
    expect(rows.filter((row) => row['type'] === 'cdc.update')).toEqual([
      { type: 'cdc.update', hour: hourOf(NOW_MS - HOUR_MS), count: 1 },
    ])
    const hours = column(rows, 'hour').map(String)
    expect(hours).toEqual(hours.toSorted((a, b) => b.localeCompare(a)))
    expect(rows.reduce((sum, row) => sum + Number(row['count']), 0)).toBe(20)
  })

  it('[I8] loses no event to another ns that sends its id again', async () => {
    const forged = await landedTable([emitted({ id: 'same' }), emitted({ id: 'same', ns: 'forger' })])
    expect(await forged.query(stream('queries/events-by-type-and-hour.sql'))).toMatchObject([{ count: 2 }])
    await forged.remove()
  })

  function hourOf(ms: number): string {
    return new Date(ms - (ms % HOUR_MS)).toISOString()
  }
})

describe('changes-by-actor', () => {
  it('lists the changes of the last 90 days, each once, newest first', async () => {
    expect(column(await table.query(stream('queries/changes-by-actor.sql')), 'id')).toEqual(['change-3', 'change-2'])
  })
})

describe('lag-by-source', () => {
  it('shows how late events land and how long a source has been silent, the latest source first', async () => {
    const rows = await table.query(stream('queries/lag-by-source.sql'))
    const [first] = rows
    expect(first).toMatchObject({
      ns: 'acme',
      source: 'acme/DO/Shop',
      last_lsn: 5,
      newest: new Date(NOW_MS - 10 * MINUTE_MS).toISOString(),
      seconds_to_land_max: 3_600,
    })
    expect(first?.['seconds_since_newest']).toBeGreaterThanOrEqual(600)
    expect(column(rows, 'ns')).toContain('other')
  })

  it('does not count a redriven event as late', async () => {
    const rows = await table.query(stream('queries/lag-by-source.sql'))
    expect(rows.find((row) => row['source'] === 'acme/DO/Mail')).toMatchObject({ landed_rows: 6 })
  })
})

describe('dead-letters', () => {
  const expected = [
    { event_id: 'stubborn', lsn: 7, reason: '422: the second time', outcome: 'open' },
    { event_id: 'open', lsn: 1, reason: '422: no total', outcome: 'open' },
    { event_id: 'given-up', lsn: 3, reason: '413: too large', outcome: 'discarded' },
    { event_id: 'mended', lsn: 2, reason: '422: no total', outcome: 'redriven' },
  ]

  it.each([
    ['as Basin Pipelines documents it', ''],
    ['as NULL', NULL_FOR_MISSING],
  ])('shows the outcome of each, with a missing JSON field read %s', async (_, macros) => {
    const rows = await table.query(macros + stream('queries/dead-letters.sql'))
    expect(rows.filter((row) => row['outcome'] === 'open')).toMatchObject(expected.slice(0, 2))
    expect(rows).toHaveLength(expected.length)
    for (const row of expected) expect(rows).toContainEqual(expect.objectContaining({ ns: 'acme', ...row }))
  })
})

describe('gaps-and-doubles', () => {
  it('[I10] counts per epoch what is missing, doubled and forked, and names the first missing LSN', async () => {
    const rows = await table.query(stream('queries/gaps-and-doubles.sql'))
    const shop = rows.filter((row) => row['source'] === 'acme/DO/Shop')
    expect(shop).toEqual([
      {
        ns: 'acme',
        source: 'acme/DO/Shop',
        epoch: FIRST_EPOCH,
        landed_rows: 7,
        first_lsn: 1,
        last_lsn: 8,
        missing: 3,
        first_missing_lsn: 3,
        doubled: 1,
        forked: 1,
      },
      {
        ns: 'acme',
        source: 'acme/DO/Shop',
        epoch: SECOND_EPOCH,
        landed_rows: 2,
        first_lsn: 1,
        last_lsn: 2,
        missing: 0,
        first_missing_lsn: null,
        doubled: 0,
        forked: 0,
      },
    ])
    expect(rows[0]).toBe(shop[0])
    expect(column(rows, 'source')).not.toContain('acme/DO/emitter')
  })
})
