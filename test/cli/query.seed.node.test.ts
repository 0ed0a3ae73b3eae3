// The queries of the project's own document, word for word, and their results.

import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { blockUnder } from '../seed/blocks.ts'
import { createProject, eventRow, type Lake, openLake, runIn } from './lake-fixture.ts'

const [CREATED_TODAY = '', BY_TYPE_AND_HOUR = '', BY_ACTOR = ''] =
  blockUnder('Consuming Events (R2 SQL)').split(/\n\n(?=--)/)

const HOUR_MS = 3_600_000
const MAIN = join(import.meta.dirname, '../../src/cli/bin.ts')

const now = Date.now()
let project: Awaited<ReturnType<typeof createProject>>
let lake: Lake

beforeAll(async () => {
  project = await createProject()
  lake = await openLake(project.root)
  await lake.append([
    eventRow(now, { id: 'today' }),
    eventRow(now, { id: 'elsewhere', ns: 'acme.corp' }),
    eventRow(now - 30 * HOUR_MS, { id: 'old' }),
    eventRow(now, { id: 'update', type: 'cdc.update', actor: 'User/nathan', op: 'u', lsn: 7n }),
  ])
  await lake.append([
    eventRow(now - 40 * HOUR_MS, { id: 'insert', type: 'cdc.insert', actor: 'User/nathan', op: 'c', lsn: 6n }),
    eventRow(now, { id: 'domain', type: 'Order.paid', actor: 'User/nathan' }),
    eventRow('2026-11-01T02:00:00Z', { id: 'night', type: 'night' }),
  ])
})

afterAll(() => project.remove())

async function answer(sql: string): Promise<Record<string, unknown>[]> {
  const { code, stdout, stderr } = await runIn(project.root, ['query', sql, '--json'])
  expect({ code, stderr }).toMatchObject({ code: 0 })
  return JSON.parse(stdout)
}

/** The program in a process of its own, because DuckDB looks at the machine's time zone only once. */
async function answerIn(zone: string, sql: string): Promise<string> {
  const options = { cwd: project.root, env: { ...process.env, TZ: zone } }
  return (await promisify(execFile)(process.execPath, [MAIN, 'query', sql, '--json'], options)).stdout
}

describe('durable-outbox query with the queries of the seed', () => {
  it('finds the customers created today over all objects', async () => {
    const rows = await answer(CREATED_TODAY)
    expect(rows.map((row) => row['id'])).toEqual(['today'])
    expect(rows[0]).toMatchObject({ timestamp: new Date(now).toISOString(), op: null, lsn: null })
  })

  it('counts events by type and hour', async () => {
    const hour = new Date(now - (now % HOUR_MS)).toISOString()
    const rows = await answer(BY_TYPE_AND_HOUR)
    expect(rows).toHaveLength(3)
    expect(rows).toEqual(
      expect.arrayContaining([
        { type: 'Customer.created', hour, count: 2 },
        { type: 'cdc.update', hour, count: 1 },
        { type: 'Order.paid', hour, count: 1 },
      ]),
    )
  })

  it('lists the changes of an actor, newest first', async () => {
    const rows = await answer(BY_ACTOR)
    expect(rows.map((row) => [row['id'], row['lsn']])).toEqual([
      ['update', 7],
      ['insert', 6],
    ])
  })

  it.each([
    ['created today', CREATED_TODAY],
    ['by type and hour', BY_TYPE_AND_HOUR],
    ['by actor', BY_ACTOR],
  ])('prints the answer of %s as a table and as CSV', async (_, sql) => {
    const table = await runIn(project.root, ['query', sql], { columns: 100 })
    const csv = await runIn(project.root, ['query', sql, '--csv'])
    expect([table.code, csv.code]).toEqual([0, 0])
    expect(table.stdout).toMatch(/\d rows?\n$/)
    expect(csv.stdout).toContain('\r\n')
  })

  it('reads the SQL from the standard input if the argument is -', async () => {
    const run = await runIn(project.root, ['query', '-', '--json'], { stdin: BY_ACTOR })
    expect(JSON.parse(run.stdout)).toHaveLength(2)
  })

  it('answers in UTC in every time zone of the machine', async () => {
    const sql = `SELECT DATE(timestamp) AS day, timestamp, CAST('2026-11-01 02:00:00' AS TIMESTAMP) AS plain,
      DATE_TRUNC('day', timestamp) AS midnight, CAST(timestamp AS VARCHAR) AS text, CURRENT_DATE = CAST(NOW() AS DATE) AS same
      FROM events WHERE id = 'night'`
    const expected = [
      {
        day: '2026-11-01',
        timestamp: '2026-11-01T02:00:00.000Z',
        plain: '2026-11-01T02:00:00.000Z',
        midnight: '2026-11-01T00:00:00.000Z',
        text: '2026-11-01 02:00:00+00',
        same: true,
      },
    ]
    for (const zone of ['America/New_York', 'Asia/Kathmandu', 'UTC'])
      expect(JSON.parse(await answerIn(zone, sql))).toEqual(expected)
  })
})
