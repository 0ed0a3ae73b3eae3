// The rows of a store, as the command folds them from the log.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { Client } from '../../proofs/demo/client.ts'
import { Runtime } from '../../proofs/harness/runtime.ts'
import type { Row } from '../../src/lake/iceberg/schema.ts'
import { again, committed, FIRST_EPOCH, landedTable, NOW_MS, SECOND_EPOCH } from '../streams/landed.ts'
import { runIn } from './lake-fixture.ts'

type State = Record<string, unknown>[]

async function state(root: string, ...args: string[]): Promise<State> {
  const { code, stdout, stderr } = await runIn(root, ['state', ...args, '--json'])
  expect({ code, stderr }).toMatchObject({ code: 0 })
  return JSON.parse(stdout) as State
}

function change(lsn: number, op: string, key: string, fields: Row = {}): Row {
  const { ns = 'acme', ...more } = fields
  const names = { ns, source: `${String(ns)}/DO/Shop`, store: 'document', table_url: `${String(ns)}/Customer` }
  return committed(lsn, { ...names, op, key, after: `{"lsn":${lsn}}`, ...more }, { atMs: NOW_MS + lsn * 1_000 })
}

const awkward = `o'brien"; DROP TABLE x; epoch >= ''`

describe('state', () => {
  let table: Awaited<ReturnType<typeof landedTable>>

  beforeAll(async () => {
    const update = change(2, 'u', 'a')
    table = await landedTable([
      change(1, 'c', 'a'),
      update,
      again(update),
      change(3, 'c', 'b'),
      change(4, 'd', 'b'),
      change(5, 'c', 'other table', { table_url: 'acme/Order' }),
      change(6, 'c', 'other store', { store: 'relational' }),
      change(1, 'c', 'a', { ns: 'beta' }),
      change(1, 'c', 'a', { ns: awkward }),
      change(1, 'c', 'a', { ns: 'quotes', table_url: `quotes/${awkward}` }),
      change(1, 'c', 'real', { ns: 'acme/x' }),
      change(2, 'c', 'forged', { ns: 'acme', table_url: 'acme/x/Customer' }),
      change(3, 'd', 'gone', { ns: 'emptied' }),
      change(1, 'c', 'old', { ns: 'reborn', epoch: FIRST_EPOCH }),
      change(1, 'c', 'new', { ns: 'reborn', epoch: SECOND_EPOCH }),
      change(2, 'c', 'newer', { ns: 'reborn', epoch: SECOND_EPOCH }),
      change(7, 'u', 'late', { ns: 'late' }),
      change(8, 'u', 'late', { ns: 'late', _meta: '{"redrivenFrom":5}' }),
    ])
  })

  afterAll(() => table.remove())

  async function keys(...args: string[]): Promise<unknown[]> {
    return (await state(table.root, 'document/Customer', ...args)).map((row) => row['key'])
  }

  it('has the last row of each key and none that was deleted, separately for each ns', async () => {
    const rows = await state(table.root, 'document/Customer')
    expect(rows.filter(({ ns }) => ns === 'acme' || ns === 'beta')).toMatchObject([
      { ns: 'acme', key: 'a', after: '{"lsn":2}', lsn: 2 },
      { ns: 'beta', key: 'a', after: '{"lsn":1}', lsn: 1 },
    ])
    expect(await state(table.root, 'document/Customer', '--ns', 'beta')).toHaveLength(1)
  })

  it('reads any name as a name', async () => {
    expect(await state(table.root, 'document/Customer', '--ns', awkward)).toMatchObject([{ ns: awkward, key: 'a' }])
    expect(await state(table.root, `document/${awkward}`, '--ns', 'quotes')).toMatchObject([{ key: 'a' }])
  })

  it('[I8] has no row of another ns that builds the same table_url', async () => {
    expect(await keys('--ns', 'acme/x')).toEqual(['real'])
    const everywhere = await state(table.root, 'document/Customer')
    expect(everywhere.map(({ key }) => key)).not.toContain('forged')
  })

  it.each([
    {
      args: ['document/Custmer'],
      error: /the log has no document\/Custmer; it has document\/Customer, document\/Order, /,
    },
    {
      args: ['graph/Customer', '--ns', 'beta'],
      error: /the log of beta has no graph\/Customer; it has document\/Customer$/,
    },
    {
      args: ['document/Customer', '--ns', 'bet'],
      error: /the log of bet has no document\/Customer; it has no store at all$/,
    },
  ])('exits with 1 if the log has no such store: $args', async ({ args, error }) => {
    const run = await runIn(table.root, ['state', ...args])
    expect(run).toMatchObject({ code: 1, stdout: '' })
    expect(run.stderr.trim()).toMatch(error)
  })

  it('is empty, and no error, if every row of the store was deleted', async () => {
    expect(await keys('--ns', 'emptied')).toEqual([])
  })

  it('is as it was at a time, which may have an offset', async () => {
    const time = new Date(NOW_MS + 3_000).toISOString()
    expect(await keys('--ns', 'acme', '--as-of', time)).toEqual(['a', 'b'])
    const first = new Date(NOW_MS + 1_000 + 3_600_000).toISOString().replace('Z', '+01:00')
    expect(await state(table.root, 'document/Customer', '--ns', 'acme', '--as-of', first)).toMatchObject([{ lsn: 1 }])
  })

  it('is as it was after an LSN', async () => {
    expect(await keys('--ns', 'acme', '--as-of', '3')).toEqual(['a', 'b'])
    expect(await keys('--ns', 'acme', '--as-of', '4')).toEqual(['a'])
  })

  it('counts a redriven change at the place where it was committed', async () => {
    const rows = (lsn: string) => state(table.root, 'document/Customer', '--ns', 'late', '--as-of', lsn)
    expect(await rows('5')).toMatchObject([{ lsn: 8 }])
    expect(await rows('8')).toMatchObject([{ lsn: 7 }])
  })

  it('reads all epochs, or from one on, or up to an LSN of one', async () => {
    expect(await keys('--ns', 'reborn')).toEqual(['new', 'newer', 'old'])
    expect(await keys('--ns', 'reborn', '--epoch', SECOND_EPOCH)).toEqual(['new', 'newer'])
    expect(await keys('--ns', 'reborn', '--epoch', SECOND_EPOCH, '--as-of', '1')).toEqual(['new'])
    const run = await runIn(table.root, ['state', 'document/Customer', '--ns', 'reborn', '--as-of', '1'])
    expect(run).toMatchObject({ code: 2, stderr: expect.stringContaining(`${FIRST_EPOCH}, ${SECOND_EPOCH}`) })
  })

  it('prints a table, or CSV', async () => {
    const args = ['state', 'document/Customer', '--ns', 'beta']
    expect((await runIn(table.root, args)).stdout).toMatch(/│ ns +│ key │[^]*1 row\n$/)
    expect((await runIn(table.root, [...args, '--csv'])).stdout).toMatch(/^ns,key,after,timestamp,epoch,lsn\r\nbeta,a,/)
  })

  it.each([
    { args: [], error: 'give it a store' },
    { args: ['Customer'], error: '"Customer" is not <store>/<table>' },
    { args: ['columnar/Sales'], error: 'a change of columnar is not one row' },
    { args: ['document/A', 'document/B'], error: 'one store was expected' },
    { args: ['document/A', '--json', '--csv'], error: '--json and --csv exclude each other' },
    { args: ['document/A', '--as-of', 'yesterday'], error: '--as-of yesterday is neither a time' },
    { args: ['document/A', '--as-of', '7'], error: 'name its ns with --ns' },
  ])('exits with 2 on $args', async ({ args, error }) => {
    const run = await runIn(table.root, ['state', ...args])
    expect(run).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining(error) })
  })
})

describe('state of a real store', () => {
  const directory = mkdtempSync(join(tmpdir(), 'durable-outbox-state-command-'))
  const root = join(import.meta.dirname, '../..')
  let worker: Runtime

  beforeAll(async () => {
    worker = await Runtime.start({ state: join(directory, 'state') })
  })

  afterAll(async () => {
    await worker.kill()
    rmSync(directory, { recursive: true, force: true })
  })

  it('is what the store holds, and what it held after each of its events', async () => {
    const client = new Client(worker.url)
    const add = { do: 'add', fields: { Title: 'Alien', 'IMDB Rating': 8 } }
    const steps = [
      { id: '1', film: 'a', ...add },
      { id: '2', film: 'b', ...add },
      { id: '3', film: 'a', do: 'rate', rating: 9 },
      { id: '4', film: 'b', do: 'withdraw' },
    ]
    const held: unknown[] = []
    for (const step of steps) {
      await client.load([{ path: '/films/films-1979', commands: [step] }], () => {})
      held.push(await client.films('films-1979'))
    }
    const status = () => client.lakeStatus()
    await vi.waitFor(async () => expect((await status()).landedEvents).toBe(await lastLSN()), { timeout: 30_000 })
    const places = (
      await query(`SELECT max(lsn) AS lsn FROM events WHERE op IS NOT NULL GROUP BY txid ORDER BY lsn`)
    ).map(({ lsn }) => String(lsn))
    expect(places).toHaveLength(steps.length)
    const at = (...args: string[]) =>
      state(root, 'document/Film', '--ns', 'films-1979', '--state', join(directory, 'state'), ...args)
    for (const [index, lsn] of places.entries()) expect(films(await at('--as-of', lsn))).toEqual(held[index])
    expect(films(await at())).toEqual(held.at(-1))
  })

  function films(rows: State): unknown[] {
    return rows.map(({ after }) => JSON.parse(String(after)))
  }

  async function query(sql: string): Promise<State> {
    const { stdout } = await runIn(root, ['query', sql, '--json', '--state', join(directory, 'state')])
    return JSON.parse(stdout) as State
  }

  /** The last LSN of the only object. All its events land, so the log in the table has no hole. */
  async function lastLSN(): Promise<number> {
    const [row] = await query('SELECT max(lsn) AS lsn, count(*) AS n FROM events')
    expect(row?.['lsn']).toBe(row?.['n'])
    expect(Number(row?.['n'])).toBeGreaterThanOrEqual(4)
    return Number(row?.['lsn'])
  }
})
