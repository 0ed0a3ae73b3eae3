// What verify reports about tables with every fault that a reader can see, and about outboxes that a test plays.

import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { createServer, type Server, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { parquetMetadata } from 'hyparquet'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { loadDuckDB } from '../../src/cli/duckdb.ts'
import { quoteName, quoteText } from '../../src/sqlite/quote.ts'
import type { Row } from '../../src/lake/iceberg/schema.ts'
import { EVENTS_COLUMNS } from '../../src/lake/table/table.ts'
import { again, committed, emitted, FIRST_EPOCH, landedTable, NOW_MS, SECOND_EPOCH } from '../streams/landed.ts'
import { createProject, type Lake, openLake, type Run, runIn } from './lake-fixture.ts'

const root = join(import.meta.dirname, '../..')
/** What verify may take on a table of a million events, with the runtime and everything that it loads. */
const RSS_MB_MAX = 480

/** A log without a fault. */
function whole(lsns: number, fields: Row = {}): Row[] {
  return Array.from({ length: lsns }, (_, index) => committed(index + 1, fields, { atMs: NOW_MS + index }))
}

async function onTable<T>(rows: readonly Row[], look: (root: string) => Promise<T>): Promise<T> {
  const table = await landedTable(rows)
  try {
    return await look(table.root)
  } finally {
    await table.remove()
  }
}

function verify(rows: readonly Row[], ...args: string[]): Promise<Run> {
  return onTable(rows, (root) => runIn(root, ['verify', ...args]))
}

async function report(rows: readonly Row[], ...args: string[]) {
  const { code, stdout } = await verify(rows, '--json', ...args)
  return { code, ...JSON.parse(stdout) }
}

describe('verify', () => {
  it('[I10] proves a table that is whole, with the verdict in one line', async () => {
    const { code, stdout } = await verify([...whole(3), ...whole(2, { epoch: SECOND_EPOCH }), emitted()])
    expect(code).toBe(0)
    expect(stdout).toMatch(/without a log: 1 event, none twice\nproven: 2 logs, 5 events, none missing, none twice\n$/)
  })

  it('proves an empty table', async () => {
    expect(await verify([emitted()])).toMatchObject({ code: 0, stdout: expect.stringContaining('proven: 0 logs') })
  })

  it('[I10] names every hole, and the LSN up to which nothing is missing', async () => {
    const rows = [1, 2, 4, 5, 9].map((lsn) => committed(lsn))
    const answer = await report(rows)
    expect(answer).toMatchObject({ code: 1, isProven: false, missing: 4, wrongLogs: 1 })
    expect(answer.shown).toMatchObject([
      {
        landedLSN: 2,
        lastLSN: 9,
        holes: 2,
        firstHoles: [
          { first: 3, last: 3 },
          { first: 6, last: 8 },
        ],
      },
    ])
    expect((await verify(rows)).stdout).toMatch(
      /FAILURE: ns acme, source DO\/Shop, epoch \w+: 4 events are missing: LSN 3, 6-8\nNOT proven: 1 log, 5 events, 1 log is wrong: 4 missing\n$/,
    )
  })

  it('counts the holes that it does not name', async () => {
    const { stdout } = await verify(Array.from({ length: 13 }, (_, index) => committed(2 * index + 1)))
    expect(stdout).toContain('12 events are missing: LSN 2, 4, 6, 8, 10, 12, 14, 16, 18, 20 and 2 more')
  })

  it('[I5] finds the rows that are there twice', async () => {
    const [first, ...others] = whole(3)
    const rows = first === undefined ? [] : [first, again(first), again(first), ...others]
    expect(await report(rows)).toMatchObject({ code: 1, doubled: 2, missing: 0, forked: 0 })
  })

  it('finds forks, marked by the lake or not, and does not count a marked one as the event', async () => {
    const fork = { id: 'other', _meta: '{"isFork":true}' }
    expect(await report([...whole(3), committed(2, fork)])).toMatchObject({
      code: 1,
      forked: 1,
      doubled: 0,
      missing: 0,
    })
    expect(await report([...whole(3), committed(2, { id: 'other' })])).toMatchObject({ code: 1, forked: 1, doubled: 0 })
    expect(await report([committed(1), committed(3), committed(2, fork)])).toMatchObject({ forked: 1, missing: 1 })
  })

  it('keeps the epochs of a source apart, and the sources of an ns', async () => {
    const logs = [whole(2), whole(2, { epoch: SECOND_EPOCH }), whole(2, { source: 'acme/DO/Mail' })]
    expect(await report(logs.flat())).toMatchObject({ code: 0, logs: 3, doubled: 0, forked: 0 })
  })

  it('[I5] checks events without a log for ids that are there twice', async () => {
    const once = emitted()
    expect(await report([once, again(once), emitted()])).toMatchObject({
      code: 1,
      isProven: false,
      emitted: { events: 3, doubled: 1 },
    })
    expect(await report([once, { ...once, ns: 'beta' }])).toMatchObject({ code: 0, emitted: { events: 2, doubled: 0 } })
  })

  it('notes dead letters and times that go back, and fails for neither', async () => {
    const late = committed(3, {}, { atMs: NOW_MS - 3_600_000 })
    const answer = await report([...whole(2), late, committed(4, { type: 'cdc.dead_letter' }), committed(5)])
    expect(answer).toMatchObject({ code: 0, isProven: true, deadLetters: 1 })
    expect(answer.shown[0]).toMatchObject({ deadLetters: 1, backwards: 1 })
    expect(answer.shown[0].findings).toMatchObject([
      { kind: 'dead-letters', isFailure: false },
      { kind: 'clock', isFailure: false },
    ])
  })

  it('notes a log that begins above LSN 1, for a reason that the table does not show', async () => {
    const answer = await report(whole(5).slice(2))
    expect(answer).toMatchObject({
      code: 0,
      shown: [{ firstLSN: 3, findings: [{ kind: 'begins-late', isFailure: false }] }],
    })
  })

  it('[I8] keeps logs of two namespaces apart whose global source and epoch are the same', async () => {
    const real = { ns: 'acme/x', source: 'acme/x/DO/Shop' }
    const rows = [...whole(3, real), committed(1, { ...real, ns: 'acme' }), committed(3, { ...real, ns: 'acme' })]
    const { code, stdout } = await verify(rows)
    expect(code).toBe(1)
    expect(stdout).toMatch(/│ acme\/x │ DO\/Shop +│ \w+ │ 3 /)
    expect(stdout).toMatch(/│ acme +│ x\/DO\/Shop │ \w+ │ 2 /)
    expect(stdout).toMatch(/^FAILURE: ns acme, source x\/DO\/Shop, epoch \w+: 1 event is missing: LSN 2$/m)
    expect(stdout).toMatch(/^note: ns acme\/x, source DO\/Shop, epoch \w+: another ns has a log/m)
    expect(stdout).not.toContain('FAILURE: ns acme/x')
  })

  it('shows what is wrong first', async () => {
    const answer = await report([
      ...whole(2),
      committed(1, { ns: 'zoo', source: 'zoo/A' }),
      committed(3, { ns: 'zoo', source: 'zoo/A' }),
    ])
    expect(answer.shown.map(({ ns }: { ns: string }) => ns)).toEqual(['zoo', 'acme'])
  })

  it.each([
    { args: ['acme'], error: 'it takes options only, not "acme"' },
    { args: ['--token', 'x'], error: '--token needs --url' },
    { args: ['--url', 'ftp://x'], error: 'not an http or https URL' },
    {
      args: ['--url', 'http://localhost', '--class', 'Customers'],
      error: '--class Customers does not have the form Customers=customers',
    },
    { args: ['--url', 'http://localhost', '--wait', 'long'], error: '--wait is a number of seconds' },
  ])('exits with 2 on $args', async ({ args, error }) => {
    expect(await runIn(root, ['verify', ...args])).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining(error),
    })
  })
})

describe('verify with outboxes', () => {
  /** What the outboxes answer, by path. The last answer is given again and again. */
  let answers: Record<string, unknown[]> = {}
  let calls: string[] = []
  let server: Server
  let url: string

  const fine = { version: 1, bufferedEvents: 0, heldEvents: 0, lagMs: 0, freshnessMs: 120_000, isBehind: false }
  /** The members of the fleet; undefined if the Worker has none. */
  let members: object[] | undefined
  /** What the lake reports; undefined if the Worker has none. */
  let lake: object | undefined = fine

  function answerLake(response: ServerResponse): void {
    response.writeHead(lake === undefined ? 404 : 200)
    response.end(lake === undefined ? 'nothing here' : JSON.stringify(lake))
  }

  const stats = {
    ns: 'acme',
    source: 'DO/Shop',
    epoch: FIRST_EPOCH,
    lastLSN: 3,
    ackedLSN: 3,
    pendingEvents: 0,
    lagMs: 0,
  }

  beforeAll(async () => {
    server = createServer((request, response) => {
      void text(request).then((body) => {
        const path = (request.url ?? '').replace('/admin/outbox/', '')
        if (path === '/lake') return answerLake(response)
        if (path === '/admin/fleet/list') return answerFleet(response)
        calls.push(body === '' ? path : `${path} ${body}`)
        const [answer] = (answers[path]?.length ?? 0) > 1 ? (answers[path]?.splice(0, 1) ?? []) : (answers[path] ?? [])
        response.writeHead(answer === undefined ? 404 : 200)
        response.end(JSON.stringify(answer ?? { error: 'there is no outbox of it', code: 'not-found' }))
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
  })

  afterAll(() => server.close())

  beforeEach(() => {
    lake = fine
    members = undefined
  })

  function answerFleet(response: ServerResponse): void {
    response.writeHead(members === undefined ? 404 : 200)
    response.end(JSON.stringify(members === undefined ? { error: 'no fleet', code: 'not-found' } : { members }))
  }

  async function ask(rows: readonly Row[], given: Record<string, unknown[]>, ...args: string[]) {
    answers = given
    calls = []
    return report(rows, '--url', url, '--wait', '0', ...args)
  }

  function findings({ shown }: { shown: { findings: { kind: string }[] }[] }): string[] {
    return shown.flatMap((log) => log.findings.map(({ kind }) => kind))
  }

  it('compares each log with the outbox that its names lead to', async () => {
    const answer = await ask(whole(3), { 'shop/acme/stats': [stats] })
    expect(answer).toMatchObject({ code: 0, askedLogs: 1, notLanded: 0 })
    expect(answer.shown[0].outbox).toMatchObject({ place: 'shop/acme', ackedLSN: 3 })
    expect(calls).toEqual(['shop/acme/stats'])
  })

  it('[I13] fails if the lake is behind, although the table is whole', async () => {
    lake = { ...fine, bufferedEvents: 2, lagMs: 300_000, isBehind: true, lastError: 'the bucket is gone' }
    const answer = await ask(whole(3), { 'shop/acme/stats': [stats] })
    expect(answer).toMatchObject({ code: 1, isProven: false, wrongLogs: 0, lake })
    expect(answer.verdict).toMatch(/^NOT proven: 1 log, 3 events, the lake is behind/)
    const { stdout } = await verify(whole(3), '--url', url, '--wait', '0')
    expect(stdout).toContain(
      'FAILURE: lake: 2 events wait, the oldest for 300000 ms, the limit is 120000 (freshnessMs); the last commit ' +
        'failed: the bucket is gone',
    )
  })

  it('[I13] fails if the fleet knows an object of which nothing has landed, also if only the outbox has its events', async () => {
    const member = { className: 'Shop', name: 'acme', id: '01', ns: 'acme', source: 'DO/Shop', epoch: stats.epoch }
    const stuck = { ...stats, ns: 'stuck', ackedLSN: 0, pendingEvents: stats.lastLSN, lagMs: 90_000 }
    const given = (ofStuck: object) => ({ 'shop/acme/stats': [stats], 'shop/stuck/stats': [ofStuck] })
    members = [member, { ...member, id: '02', name: 'stuck', ns: 'stuck' }]
    const answer = await ask(whole(3), given(stuck))
    expect(answer).toMatchObject({ code: 1, isProven: false, wrongLogs: 0, fleet: { members: 2, neverLanded: 1 } })
    expect(answer.verdict).toMatch(/^NOT proven: 1 log, 3 events, 1 object of which nothing has landed/)
    expect(answer.fleet.shown).toEqual([
      'Shop/stuck: none of its 3 events is in the table; 3 events wait, the oldest for 90000 ms',
    ])
    // What has only just committed is not late, and an object that has begun anew has nothing to land.
    expect(await ask(whole(3), given({ ...stuck, lagMs: 100 }))).toMatchObject({ code: 0 })
    expect(await ask(whole(3), given({ ...stuck, epoch: SECOND_EPOCH }))).toMatchObject({ code: 0 })
  })

  it('[I13] fails if the lake cannot be asked', async () => {
    lake = undefined
    const answer = await ask(whole(3), { 'shop/acme/stats': [stats] })
    expect(answer).toMatchObject({
      code: 1,
      lake: { refusal: expect.stringContaining('answered 404 without the JSON of lakeRoutes') },
    })
  })

  it('does not mind that others have committed since the lake did, in a catalog that they share', async () => {
    const behind = { ...fine, version: 0 }
    lake = { ...behind, catalog: 'https://catalog.test' }
    expect(await ask(whole(3), { 'shop/acme/stats': [stats] })).toMatchObject({ code: 0 })
    lake = behind
    expect(await ask(whole(3), { 'shop/acme/stats': [stats] })).toMatchObject({ code: 1 })
  })

  it('fails if the lake has committed more than the bucket holds, as that is an older copy of it or another', async () => {
    lake = { ...fine, version: 7 }
    const answer = await ask(whole(3), { 'shop/acme/stats': [stats] })
    expect(answer).toMatchObject({ code: 1, isProven: false, wrongLogs: 0, lake: { checkedVersion: 1 } })
    expect(answer.verdict).toMatch(/^NOT proven: 1 log, 3 events, the bucket is older than the lake/)
    const { stdout } = await verify(whole(3), '--url', url, '--wait', '0')
    expect(stdout).toContain(
      'FAILURE: lake: it has committed version 7 of the table, and the newest in the bucket is 1: this is another bucket ' +
        'than its own, or an older copy was restored',
    )
  })

  it('[I13] notes that the table alone does not show what waits', async () => {
    expect((await verify(whole(3))).stderr).toContain('the table alone was checked')
  })

  it('asks the class that --class names', async () => {
    const answer = await ask(whole(3), { 'stores/acme/stats': [stats] }, '--class', 'Shop=stores')
    expect(answer).toMatchObject({ code: 0, askedLogs: 1 })
  })

  it('[I3] fails for what was delivered after the last event that landed', async () => {
    const answer = await ask(whole(3), { 'shop/acme/stats': [{ ...stats, ackedLSN: 5, lastLSN: 9 }] })
    expect(answer).toMatchObject({ code: 1, notLanded: 2, missing: 0 })
    expect(answer.shown[0].findings).toMatchObject([
      { kind: 'not-landed', text: '2 events of shop/acme were delivered but have not landed: LSN 4-5' },
    ])
  })

  it('[I3] fails for what the outbox still keeps from before the first event that landed', async () => {
    const rows = whole(6).slice(3)
    const given = {
      'shop/acme/stats': [{ ...stats, ackedLSN: 6, lastLSN: 6 }],
      'shop/acme/list': [{ items: [{ lsn: 2 }] }],
    }
    const answer = await ask(rows, given)
    expect(answer).toMatchObject({ code: 1, notLanded: 2 })
    expect(answer.shown[0].notLanded).toEqual([{ first: 2, last: 3 }])
    expect(calls).toContain('shop/acme/list {"to":3,"status":"delivered","limit":1}')
  })

  it('[I3] fails for an epoch of which nothing has landed', async () => {
    const now = { ...stats, epoch: SECOND_EPOCH, ackedLSN: 2, lastLSN: 2 }
    const answer = await ask(whole(3), { 'shop/acme/stats': [now], 'shop/acme/list': [{ items: [{ lsn: 1 }] }] })
    expect(answer).toMatchObject({ code: 1, logs: 2, notLanded: 2 })
    expect(findings(answer)).toEqual(['not-landed', 'other-life'])
  })

  it('only notes that an epoch is over, if nothing of the new one was delivered', async () => {
    const now = { ...stats, epoch: SECOND_EPOCH, ackedLSN: 0, lastLSN: 0 }
    const answer = await ask(whole(3), { 'shop/acme/stats': [now] })
    expect({ code: answer.code, findings: findings(answer) }).toEqual({ code: 0, findings: ['other-life'] })
  })

  it('fails if the table has more than was ever committed', async () => {
    const answer = await ask(whole(5), { 'shop/acme/stats': [stats] })
    expect({ code: answer.code, findings: findings(answer) }).toEqual({ code: 1, findings: ['ahead'] })
  })

  it('notes outboxes that cannot be asked, or have other names', async () => {
    const other = { ...stats, ns: 'beta' }
    const rows = [...whole(3), ...whole(3, { source: 'acme/elsewhere' }), ...whole(3, { source: 'acme/DO/Mail' })]
    const answer = await ask(rows, { 'shop/acme/stats': [other] })
    expect(answer).toMatchObject({ code: 0, askedLogs: 0 })
    expect(findings(answer)).toEqual(['not-asked', 'not-asked', 'not-asked'])
    expect(calls.toSorted()).toEqual(['mail/acme/stats', 'shop/acme/stats'])
  })

  it('does not expect what was delivered during the check', async () => {
    // The second check gets a later LSN, and compares the table with the first.
    const given = {
      'shop/acme/stats': [
        { ...stats, ackedLSN: 4, lastLSN: 4 },
        { ...stats, ackedLSN: 8, lastLSN: 8 },
      ],
    }
    const answer = await ask(whole(3), given, '--wait', '1')
    expect(answer.notLanded).toBe(1)
    expect(calls.length).toBeGreaterThan(1)
  })

  it('names the token if the Worker refuses', async () => {
    const closed = createServer((_, response) => {
      response.writeHead(401)
      response.end(JSON.stringify({ error: 'admin: no token', code: 'unauthorized' }))
    })
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve))
    const address = closed.address()
    const port = typeof address === 'object' ? address?.port : undefined
    const run = await verify(whole(1), '--url', `http://127.0.0.1:${port}`)
    closed.close()
    expect(run).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining('ADMIN_TOKEN in the environment'),
    })
  })
})

describe('verify of a large table', () => {
  it(`[I7] takes no more than ${RSS_MB_MAX} MB for a million events`, async () => {
    const directory = await mkdtemp(join(tmpdir(), 'durable-outbox-large-'))
    const file = join(directory, 'events.parquet')
    await writeEvents(file, 1_000_000)
    const script = `
      import { readLogs } from ${JSON.stringify(join(root, 'src/cli/verify/logs.ts'))}
      import { EVENTS_COLUMNS } from ${JSON.stringify(join(root, 'src/lake/table/table.ts'))}
      let events = 0, missing = 0
      for await (const log of readLogs({ columns: EVENTS_COLUMNS, files: [process.env.FILE] }, 10)) {
        events += log.events
        missing += log.missing
      }
      console.log(JSON.stringify({ events, missing, rssMB: process.resourceUsage().maxRSS / 1_000 }))`
    const run = promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script], {
      env: { ...process.env, FILE: file },
    })
    const { events, missing, rssMB } = JSON.parse((await run).stdout)
    await rm(directory, { recursive: true })
    expect({ events, missing }).toEqual({ events: 999_999, missing: 1 })
    expect(rssMB).toBeLessThan(RSS_MB_MAX)
  })

  /** A Parquet file with the columns of the table and a hundred logs, without one event in the middle. */
  async function writeEvents(file: string, count: number): Promise<void> {
    const made: Record<string, string> = {
      id: "'01' || lpad(CAST(i AS VARCHAR), 24, '0')",
      type: "'cdc.insert'",
      timestamp: "TIMESTAMPTZ '2026-11-01 00:00:00Z' + to_milliseconds(i)",
      ns: "'ns-' || i % 100",
      source: "'ns-' || i % 100 || '/DO/Shop'",
      epoch: quoteText(FIRST_EPOCH),
      lsn: 'i // 100 + 1',
      _meta: `'{"schemaVersion":1,"source":"DO/Shop"}'`,
    }
    const columns = EVENTS_COLUMNS.map(({ name }) => `${made[name] ?? 'NULL::VARCHAR'} AS ${quoteName(name)}`)
    const ids = EVENTS_COLUMNS.map(({ id, name }) => `${quoteName(name)}: ${id}`)
    const connection = await (await (await loadDuckDB()).DuckDBInstance.create(':memory:')).connect()
    await connection.run(`COPY (SELECT ${columns.join(', ')} FROM range(${count}) AS t(i) WHERE i <> ${count / 2})
      TO ${quoteText(file)} (FORMAT parquet, FIELD_IDS {${ids.join(', ')}})`)
  }
})

/** Breaks the first compressed page of a column. */
function withoutFrame(column: string) {
  return (bytes: Uint8Array<ArrayBuffer>) => {
    const [group] = parquetMetadata(bytes.buffer).row_groups
    const chunk = group?.columns.find(({ meta_data: meta }) => meta?.path_in_schema.join() === column)?.meta_data
    const start = Buffer.from(bytes.buffer).indexOf('28b52ffd', Number(chunk?.data_page_offset), 'hex')
    return bytes.fill(0, start, start + 4)
  }
}

describe('verify of a bucket', () => {
  let project: Awaited<ReturnType<typeof createProject>>
  let lake: Lake

  beforeEach(async () => {
    project = await createProject()
    lake = await openLake(project.root)
    await lake.append([...whole(3), committed(1, { type: 'Order.paid', epoch: SECOND_EPOCH })])
    // From here on, there are local copies of everything.
    await check()
  })

  afterEach(() => project.remove())

  function check(...args: string[]): Promise<Run> {
    return runIn(project.root, ['verify', ...args])
  }

  async function keysOf(folder: string): Promise<string[]> {
    const { objects } = await lake.bucket.list({ prefix: lake.prefix + folder })
    return objects.map(({ key }) => key)
  }

  /** Changes the largest file of a type. */
  async function replace(change: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>): Promise<string> {
    const { objects } = await lake.bucket.list({ prefix: `${lake.prefix}data/type=Order.placed/` })
    const key = objects.toSorted((a, b) => a.size - b.size).at(-1)?.key ?? ''
    const bytes = new Uint8Array((await (await lake.bucket.get(key))?.arrayBuffer()) ?? new ArrayBuffer())
    await lake.bucket.put(key, change(bytes))
    return key
  }

  it.each([['data/'], ['metadata/']])(
    'fails if an object of %s is gone, also if it has a copy of it',
    async (folder) => {
      const [key = ''] = (await keysOf(folder)).filter((name) => /\.parquet$|-m0\.avro$/.test(name))
      await lake.bucket.delete(key)
      for (const args of [[], ['--deep']])
        expect(await check(...args)).toMatchObject({
          code: 1,
          stdout: '',
          stderr: expect.stringContaining(`no object ${key}`),
        })
    },
  )

  it('counts the objects that are gone', async () => {
    await lake.bucket.delete(await keysOf('data/'))
    expect((await check()).stderr).toMatch(
      /the bucket has no object \S+ and 1 other that the table names; durable-outbox rec/,
    )
  })

  it('fails if an object has another size', async () => {
    const key = await replace((bytes) => bytes.subarray(10))
    expect(await check()).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining(`lake: ${key} has `) })
  })

  it('looks at the bytes in the bucket, and not at the copy that it has of them', async () => {
    const key = await replace((bytes) => bytes.fill(0))
    const { code, stdout, stderr } = await check()
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).not.toContain('(0 fetched)')
    expect(await check('--deep')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`lake: ${key} cannot be read`),
    })
  })

  it('copies and reads every file again with --deep', async () => {
    expect(await check()).toMatchObject({ code: 0, stderr: expect.stringContaining('in 2 files (0 fetched)') })
    expect(await check('--deep')).toMatchObject({ code: 0, stderr: expect.stringContaining('in 2 files (2 fetched)') })
  })

  it('finds with --deep what the proof does not need: the bytes of the events themselves', async () => {
    await lake.replace([committed(1, { data: JSON.stringify(randomBytes(5_000).toString('hex')) })])
    const key = await replace(withoutFrame('data'))
    expect(await check()).toMatchObject({ code: 0 })
    expect(await check('--deep')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`lake: ${key} cannot be read`),
    })
  })

  it('proves nothing if there is no table', async () => {
    const empty = await createProject()
    expect(await runIn(empty.root, ['verify'])).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining('there is no table in .wrangler/state, so there is nothing to prove'),
    })
    await empty.remove()
  })
})

describe('verify as a program', () => {
  it('leaves nothing in the temporary directory', async () => {
    await onTable(whole(1), async (root) => {
      const directory = await mkdtemp(join(tmpdir(), 'durable-outbox-empty-'))
      vi.stubEnv('TMPDIR', directory)
      const { code } = await runIn(root, ['verify'])
      vi.unstubAllEnvs()
      expect({ code, left: await readdir(directory) }).toEqual({ code: 0, left: [] })
      await rm(directory, { recursive: true })
    })
  })

  it('prints its report to stdout, and the place of the table to stderr', async () => {
    await onTable(whole(1), async (root) => {
      const { code, stdout, stderr } = await runIn(root, ['verify', '--json'])
      expect(code).toBe(0)
      expect(JSON.parse(stdout)).toMatchObject({ verdict: expect.stringMatching(/^proven/) })
      expect(stderr).toContain('1 row in 1 file')
    })
  })
})
