// state-now.sql and state-as-of.sql fold the log as every other reader does.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { ulid } from 'ulid'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { Client } from '../../proofs/demo/client.ts'
import { Runtime } from '../../proofs/harness/runtime.ts'
import type { Row } from '../../src/lake/iceberg/schema.ts'
import { fillParameters } from '../../src/cli/sql-tokens.ts'
import { quoteText } from '../../src/sqlite/quote.ts'
import { runIn } from '../cli/lake-fixture.ts'
import { foldRows } from '../stores/fold.ts'
import { type Answer, again, committed, landedTable, NOW_MS, NULL_FOR_MISSING, stream } from './landed.ts'

const root = join(import.meta.dirname, '../..')

interface Change {
  readonly op: 'c' | 'u' | 'd' | 'r'
  readonly key: string
  readonly after?: Record<string, unknown>
}

const changeArbitrary: fc.Arbitrary<Change> = fc.record({
  op: fc.constantFrom('c', 'u', 'd', 'r'),
  key: fc.constantFrom('a', 'b', 'Zoë', "it's"),
  after: fc.record({ n: fc.integer() }),
})

/** A log: changes in the order of their commits, split into epochs whose LSNs continue. */
const logArbitrary = fc.record({
  changes: fc.array(changeArbitrary, { minLength: 1, maxLength: 25 }),
  epochLength: fc.integer({ min: 1, max: 25 }),
  doubled: fc.boolean(),
})
type Log = typeof logArbitrary extends fc.Arbitrary<infer T> ? T : never

/** The rows of a log, out of order. The nth change was committed n seconds after the first. */
function rowsOf({ changes, epochLength, doubled }: Log, ns: string): Row[] {
  const epochs = new Map<number, string>()
  const rows = changes.map(({ op, key, after }, index) => {
    const number = Math.floor(index / epochLength)
    const epoch = epochs.get(number) ?? ulid(NOW_MS - 1_000_000 + number * 1_000)
    epochs.set(number, epoch)
    const names = { ns, source: `${ns}/DO/Shop`, epoch, store: 'document', table_url: `${ns}/Customer`, op, key }
    return committed(
      index + 1,
      { ...names, ...(op !== 'd' && { after: JSON.stringify(after) }) },
      { atMs: timeOf(index) },
    )
  })
  return [...rows, ...(doubled ? rows.map((row) => again(row)) : [])].toReversed()
}

function timeOf(index: number): number {
  return NOW_MS - 500_000 + index * 1_000
}

/** The state after the first changes of a log. */
function folded({ changes }: Log, count = changes.length): Map<string, unknown> {
  const events = changes.slice(0, count).map((change) => ({ store: 'document' as const, table: 'Customer', ...change }))
  return foldRows(events).get('document/Customer') ?? new Map<string, unknown>()
}

function rowsByKey(rows: Answer): Map<string, unknown> {
  return new Map(rows.map((row) => [String(row['key']), JSON.parse(String(row['after']))]))
}

/** A shipped query with other values. */
function withValues(file: string, values: Record<string, string>): string {
  return fillParameters(stream(file), Object.fromEntries(Object.entries(values).map(([k, v]) => [k, quoteText(v)])))
}

function stateNow(ns: string, more: Record<string, string> = {}): string {
  return withValues('queries/state-now.sql', { ns, ...more })
}

function stateAsOf(ns: string, time: string, more: Record<string, string> = {}): string {
  return withValues('queries/state-as-of.sql', { ns, time, ...more })
}

describe('the state of a table', () => {
  const logs = fc.sample(logArbitrary, { numRuns: 12, seed: 20261122 })
  let table: Awaited<ReturnType<typeof landedTable>>

  const beginning = {
    ns: 'born-again',
    source: 'born-again/DO/Shop',
    store: 'document',
    table_url: 'born-again/Customer',
  }
  const [before, after] = [ulid(NOW_MS - 2_000), ulid(NOW_MS - 1_000)]
  /** The clock was set back before the second of these lives. */
  const setBack = { ns: 'set-back', source: 'set-back/DO/Shop', store: 'document', table_url: 'set-back/Customer' }
  const lives = [ulid(NOW_MS - 10_000), ulid(NOW_MS - 20_000)] as const
  const late = { ns: 'late', source: 'late/DO/Shop', store: 'document', table_url: 'late/Customer', op: 'u', key: 'a' }

  /** The names of a table in the ns `acme/x`, which a sender in the ns `acme` can build too. */
  const real = { ns: 'acme/x', source: 'acme/x/DO/Shop', table_url: 'acme/x/Customer' }

  beforeAll(async () => {
    table = await landedTable([
      ...logs.flatMap((log, index) => rowsOf(log, `log-${index}`)),
      committed(1, { ...beginning, epoch: before, op: 'c', key: 'gone', after: '{"n":1}' }),
      committed(9, { ...beginning, epoch: before, op: 'c', key: 'kept', after: '{"n":1}' }),
      committed(1, { ...beginning, epoch: after, op: 'c', key: 'new', after: '{"n":2}' }),
      committed(2, { ...beginning, epoch: after, op: 'c', key: 'kept', after: '{"n":2}' }),
      ...lives.flatMap((epoch, life) => {
        const times = { atMs: NOW_MS - (life + 1) * 10_000, takenMs: NOW_MS - 5_000 + life }
        const names = { ...setBack, epoch, op: 'c' }
        return [
          committed(1, { ...names, key: `of life ${life}`, after: '{}' }, times),
          committed(2, { ...names, key: 'of both', after: `{"life":${life}}` }, times),
        ]
      }),
      committed(6, { ...late, after: '{"n":"newest"}' }),
      committed(7, { ...late, after: '{"n":"redriven"}', _meta: '{"redrivenFrom":5}' }),
      committed(1, { ...late, store: 'relational', key: 'other store', after: '{}' }),
      committed(1, { ...late, ...real, after: '{"n":"real"}' }),
      committed(2, { ...late, ...real, ns: 'acme', after: '{"n":"forged"}' }),
    ])
  })

  afterAll(() => table.remove())

  it.each(logs.map((log, index) => [index, log] as const))('is the fold of log %i', async (index, log) => {
    expect(rowsByKey(await table.query(stateNow(`log-${index}`)))).toEqual(folded(log))
  })

  it.each(logs.map((log, index) => [index, log] as const))(
    'is at a time the fold until then of log %i',
    async (index, log) => {
      const count = Math.ceil(log.changes.length / 2)
      const time = new Date(timeOf(count - 1)).toISOString()
      expect(rowsByKey(await table.query(stateAsOf(`log-${index}`, time)))).toEqual(folded(log, count))
    },
  )

  it('is that of the later epoch for a key in both, whichever LSN is higher', async () => {
    const rows = await table.query(stateNow('born-again'))
    expect(rows.map((row) => [row['key'], row['after'], row['epoch'], row['lsn']])).toEqual([
      ['gone', '{"n":1}', before, 1],
      ['kept', '{"n":2}', after, 2],
      ['new', '{"n":2}', after, 1],
    ])
  })

  it('has the rows of the present epoch only, if that is given as the first', async () => {
    const rows = await table.query(stateNow('born-again', { firstEpoch: after }))
    expect(rows.map((row) => row['key'])).toEqual(['kept', 'new'])
  })

  it('is that of the life that landed last, although its epoch sorts first', async () => {
    const [, second] = lives
    const keys = (rows: Answer) => rows.map((row) => [row['key'], row['after']])
    const both = ['of both', '{"life":1}']
    expect(keys(await table.query(stateNow('set-back')))).toEqual([both, ['of life 0', '{}'], ['of life 1', '{}']])
    const present = [both, ['of life 1', '{}']]
    expect(keys(await table.query(stateNow('set-back', { firstEpoch: second })))).toEqual(present)
    const asOf = stateAsOf('set-back', new Date().toISOString(), { firstEpoch: second })
    expect(keys(await table.query(asOf))).toEqual(present)
  })

  it('takes no row of another ns that builds the same table_url', async () => {
    const rows = await table.query(stateNow('acme/x'))
    expect(rows.map((row) => [row['ns'], row['after']])).toEqual([['acme/x', '{"n":"real"}']])
    const everywhere = stream('queries/state-now.sql').replace(/ns = .*\n\s+AND /, '')
    const found = (await table.query(everywhere)).filter((row) => String(row['ns']).startsWith('acme'))
    expect(found.map((row) => row['ns'])).toEqual(['acme/x'])
    expect(await table.query(stateAsOf('acme', new Date().toISOString()))).toEqual([])
  })

  it('is as of an LSN of one epoch', async () => {
    const at = (lsn: string) => {
      const sql = stateAsOf('born-again', new Date().toISOString(), { epoch: after })
      return table.query(fillParameters(sql, { lsn }))
    }
    expect((await at('1')).map((row) => row['key'])).toEqual(['new'])
    expect((await at('2')).map((row) => row['key'])).toEqual(['kept', 'new'])
  })

  it.each([
    ['as Basin Pipelines documents it', ''],
    ['as NULL', NULL_FOR_MISSING],
  ])('puts a redriven change where it was committed, with a missing JSON field read %s', async (_, macros) => {
    expect(rowsByKey(await table.query(macros + stateNow('late')))).toEqual(new Map([['a', { n: 'newest' }]]))
  })
})

describe('the state of a store', () => {
  const directory = mkdtempSync(join(tmpdir(), 'durable-outbox-state-'))
  const state = join(directory, 'state')
  let worker: Runtime

  beforeAll(async () => {
    worker = await Runtime.start({ state })
  })

  afterAll(async () => {
    await worker.kill()
    rmSync(directory, { recursive: true, force: true })
  })

  function films(...commands: [string, string, object][]) {
    const path = '/films/films-1979'
    return [{ path, commands: commands.map(([id, film, more]) => ({ id, film, ...more })) }]
  }

  async function landed(client: Client, events: number): Promise<void> {
    await vi.waitFor(async () => expect((await client.lakeStatus()).landedEvents).toBe(events), { timeout: 30_000 })
  }

  async function rebuilt(file: string, parameters: Record<string, string>): Promise<Map<string, unknown>> {
    const sql = withValues(file, { ns: 'films-1979', table: 'Film', ...parameters })
    const { code, stdout, stderr } = await runIn(root, ['query', sql, '--json', '--state', state])
    expect({ code, stderr }).toMatchObject({ code: 0 })
    return rowsByKey(JSON.parse(stdout) as Answer)
  }

  async function stored(client: Client): Promise<Map<string, unknown>> {
    return new Map((await client.films('films-1979')).map((film) => [film.$id, film]))
  }

  it('is what its log rebuilds, now and as of a time', async () => {
    const client = new Client(worker.url)
    const add = { do: 'add', fields: { Title: 'Alien', 'IMDB Rating': 8 } }
    await client.load(films(['1', 'a', add], ['2', 'b', add], ['3', 'c', { ...add, do: 'premiere' }]), () => {})
    await landed(client, 4)
    const then = { time: new Date().toISOString(), films: await stored(client) }
    await client.load(
      films(['4', 'a', { do: 'rate', rating: 9 }], ['5', 'b', { do: 'withdraw' }], ['6', 'd', add]),
      () => {},
    )
    await landed(client, 8)
    const now = await stored(client)
    expect([[...then.films.keys()], [...now.keys()]]).toEqual([
      ['a', 'b', 'c'],
      ['a', 'c', 'd'],
    ])
    expect(await rebuilt('queries/state-now.sql', {})).toEqual(now)
    expect(await rebuilt('queries/state-as-of.sql', { time: then.time })).toEqual(then.films)
  })
})
