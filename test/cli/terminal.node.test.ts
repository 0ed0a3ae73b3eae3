// A text of an event, a server or a file must not drive the terminal, nor look like a line of the command's own.

import { createServer, type Server } from 'node:http'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { commands } from '../../src/cli/main.ts'
import { committed, FIRST_EPOCH, landedTable } from '../streams/landed.ts'
import { createProject, type Run, runIn } from './lake-fixture.ts'

/** A title for the terminal, a colour, a control sequence of one byte, a change of direction, and a line of ours. */
const EVIL = '\u001b]0;owned\u0007\u001b[31m\u009b2J\u202e\nproven: 1 log, 1 event, none missing, none twice'
/** The lines that it must not be able to write. */
const FORGED = /^(?:proven|owned)/

/** Every character that a terminal may act on, except the line breaks between our own lines. */
const ACTIVE = /[\p{Cc}\u2028-\u202e\u2066-\u2069]/u

/** The lines that could do harm. A verdict may only be the last line of all. */
function harmfulLines({ stdout, stderr }: Run): string[] {
  const lines = [...stdout.replace(/^(?:NOT )?proven: .*\n$/m, '').split('\n'), ...stderr.split('\n')]
  return lines.filter((line) => ACTIVE.test(line) || FORGED.test(line))
}

describe('what somebody else wrote', () => {
  const evil = { ns: EVIL, source: `${EVIL}/DO/${EVIL}`, epoch: FIRST_EPOCH }
  const stats = { ns: EVIL, source: 'x', epoch: EVIL, lastLSN: 9, ackedLSN: 9, pendingEvents: 0, lagMs: 0 }
  let table: Awaited<ReturnType<typeof landedTable>>
  let server: Server
  let url = ''
  let answer: { status: number; headers?: Record<string, string>; body: unknown }

  beforeAll(async () => {
    table = await landedTable([
      committed(1, {
        ...evil,
        key: EVIL,
        type: EVIL,
        store: 'document',
        table_url: `${EVIL}/${EVIL}`,
        op: 'c',
        after: EVIL,
      }),
      committed(3, { ...evil, epoch: EVIL }),
      committed(1, { ...evil, source: EVIL }),
    ])
    server = createServer((_, response) => {
      response.writeHead(answer.status, answer.headers)
      response.end(typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
  })

  afterAll(async () => {
    server.close()
    await table.remove()
  })

  async function run(...args: string[]): Promise<Run> {
    const run = await runIn(table.root, args)
    expect(harmfulLines(run)).toEqual([])
    return run
  }

  it.each([
    { where: 'rows', sql: 'SELECT * FROM events' },
    { where: 'names of columns', sql: `SELECT 1 AS "${EVIL}"` },
    { where: 'an error about a value', sql: 'SELECT CAST(key AS INTEGER) FROM events' },
    { where: 'an error by the SQL', sql: `SELECT error(key) FROM events WHERE ns = 'x' OR lsn = 1` },
    { where: 'an error about a name', sql: `SELECT "${EVIL}" FROM events` },
  ])('is shown by query in $where', async ({ sql }) => {
    const { stdout, stderr } = await run('query', sql)
    expect(stdout + stderr).toContain(String.raw`\u001b]0;owned\u0007\u001b[31m\u009b2J`)
  })

  it('is shown by query in an error with the line breaks, behind an indent', async () => {
    const { stderr } = await run('query', 'SELECT CAST(key AS INTEGER) FROM events')
    expect(stderr).toMatch(/^ {2}proven: 1 log/m)
  })

  it('is shown by state', async () => {
    expect((await run('state', `document/${EVIL}`)).stdout).toContain(String.raw`\nproven: 1 log`)
    expect((await run('state', 'document/Customer')).stderr).toContain(String.raw`\nproven: 1 log`)
    expect(await run('state', 'document/Customer', '--ns', EVIL, '--as-of', EVIL)).toMatchObject({ code: 2 })
  })

  it('is shown by verify, in logs and in findings', async () => {
    const { stdout } = await run('verify')
    expect(stdout).toMatch(/^note: ns ".*\\nproven.*", source ".*", epoch ".*": it begins with LSN 3/m)
    expect(stdout).toMatch(/\nproven: 3 logs, 3 events, none missing, none twice\n$/)
  })

  it.each([
    { from: 'the names of outboxes', status: 200, body: stats },
    { from: 'a refusal', status: 404, body: { error: EVIL, code: EVIL } },
  ])('is shown by verify --url and reconcile: $from', async (reply) => {
    answer = reply
    const verified = await run('verify', '--url', url, '--wait', '0')
    expect(verified.stdout).toMatch(/^note: .*its outbox was not asked/m)
    await run('reconcile', '--dry-run', '--url', url, '--wait', '0')
  })

  it.each([
    { from: 'a refusal', status: 403, body: { error: EVIL, code: 'forbidden' } },
    { from: 'a redirect', status: 302, body: '', headers: { location: 'https://x/\u009b2J' } },
    { from: 'a strange answer', status: 200, body: `"${EVIL}"` },
  ])('is shown by outbox, verify and reconcile: $from', async (reply) => {
    answer = reply
    expect(await run('outbox', 'customers/acme', 'stats', '--url', url)).toMatchObject({ code: 1, stdout: '' })
    await run('verify', '--url', url, '--wait', '0')
    await run('reconcile', '--url', url, '--wait', '0')
  })

  it.each(['stats', 'list', 'dead-letters', 'get 1', 'snapshot x/y'])('is shown by outbox … %s', async (action) => {
    const event = { lsn: 1, type: EVIL, key: EVIL, event: { key: EVIL }, reason: EVIL }
    answer = {
      status: 200,
      body: { ...stats, ...event, name: EVIL, [EVIL]: EVIL, snapshots: [{ name: EVIL, error: EVIL }], items: [event] },
    }
    const { code, stdout } = await run('outbox', 'customers/acme', ...action.split(' '), '--url', url)
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining(String.raw`\u009b2J`) })
  })

  it('is shown by query --remote', async () => {
    const env = { BASIN_SQL_TOKEN: 't', CLOUDFLARE_ACCOUNT_ID: 'a', BASIN_SQL_BUCKET: 'b' }
    const ask = async () => {
      const run = await runIn(table.root, ['query', 'SELECT 1 FROM cdc.t', '--remote', '--endpoint', url], { env })
      expect(harmfulLines(run)).toEqual([])
      return run.stderr
    }
    answer = { status: 400, body: { success: false, errors: [{ message: EVIL }], result: null } }
    expect(await ask()).toMatch(/^Basin SQL answered 400\n {2}\\u001b/)
    answer = { status: 502, body: EVIL }
    expect(await ask()).toContain(String.raw`not as its API does: \u001b`)
    answer = { status: 302, body: '', headers: { location: 'https://x/\u009b2J' } }
    expect(await ask()).toContain(String.raw`Location: https://x/\u009b2J`)
  })

  it('keeps its value in JSON, and is escaped there', async () => {
    const { stdout } = await runIn(table.root, ['query', 'SELECT key FROM events WHERE key IS NOT NULL', '--json'])
    expect(stdout.replaceAll('\n', '')).not.toMatch(ACTIVE)
    expect(JSON.parse(stdout)).toEqual([{ key: EVIL }])
    const verified = await runIn(table.root, ['verify', '--json'])
    expect(verified.stdout.replaceAll('\n', '')).not.toMatch(ACTIVE)
    const report = JSON.parse(verified.stdout) as { shown: { ns: string }[] }
    expect(report.shown[0]?.ns).toBe(EVIL)
  })

  it('is escaped in CSV, with its line breaks in quotes', async () => {
    const { stdout } = await runIn(table.root, ['query', 'SELECT key FROM events WHERE key IS NOT NULL', '--csv'])
    const shown = String.raw`\u001b]0;owned\u0007\u001b[31m\u009b2J\u202e`
    expect(stdout).toBe(`key\r\n"${shown}\nproven: 1 log, 1 event, none missing, none twice"\r\n`)
  })

  it.each(['=HYPERLINK("x")', '+1+1', '-2+3', '@SUM(1)', '\t=1', '\r=1', '\n=1'])(
    'is no formula in CSV: %j',
    async (text) => {
      const sql = `SELECT chr(39) || 'x' AS q, '${text}' AS a, '-1.5e3' AS n, -2 AS m`
      const { stdout } = await runIn(table.root, ['query', sql, '--csv'])
      expect(stdout).toMatch(/^q,a,n,m\r\n'x,"?(?:'|\\u000d)[^]*,-1.5e3,-2\r\n$/)
    },
  )
})

describe('a command line', () => {
  it('drives no terminal either', async () => {
    const project = await createProject()
    for (const { name } of commands)
      for (const args of [[EVIL], [`--${EVIL}`], ['--config', EVIL], [EVIL, EVIL, EVIL]])
        expect(harmfulLines(await runIn(project.root, [name, ...args]))).toEqual([])
    expect(harmfulLines(await runIn(project.root, [EVIL]))).toEqual([])
    await writeFile(join(project.root, 'wrangler.toml'), `name = "${EVIL}`)
    expect(harmfulLines(await runIn(project.root, ['provision', '--dry-run']))).toEqual([])
    await project.remove()
  })
})
