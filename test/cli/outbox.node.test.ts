// The command against a server with scripted answers, and once against the real Worker.

import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { Runtime } from '../../proofs/harness/runtime.ts'
import { type Run, runCommand } from '../../proofs/harness/command.ts'

interface Call {
  path: string
  argument: unknown
  headers: IncomingHttpHeaders
}

interface Reply {
  status?: number
  headers?: Record<string, string>
  /** A text is sent as it is, anything else as JSON. */
  body: unknown
}

/** The calls that the server got, and the answers that it will give, in order. */
let calls: Call[] = []
let replies: Reply[] = []
let server: Server
let url: string

beforeAll(async () => {
  server = createServer((request, response) => {
    void text(request).then((body) => {
      const argument: unknown = body === '' ? undefined : JSON.parse(body)
      calls.push({ path: request.url ?? '', argument, headers: request.headers })
      const reply = replies.shift() ?? { status: 500, body: 'a call that the test does not expect' }
      response.writeHead(reply.status ?? 200, reply.headers)
      response.end(typeof reply.body === 'string' ? reply.body : JSON.stringify(reply.body))
    })
  })
  url = await listen(server)
})

afterAll(() => server.close())

beforeEach(() => {
  calls = []
  replies = []
})

// An answer that nobody asked for means that a test has missed something.
afterEach(() => {
  if (replies.length > 0) throw new Error(`the command did not ask for ${JSON.stringify(replies)}`)
})

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  return `http://127.0.0.1:${address.port}`
}

function run(args: readonly string[], env: Record<string, string> = {}, columns?: number): Promise<Run> {
  return runCommand(['outbox', ...args], { env, ...(columns !== undefined && { columns }) })
}

/** Runs an action on customers/acme of the server, which sends these answers. */
function act(action: readonly string[], ...bodies: readonly unknown[]): Promise<Run> {
  replies.push(...bodies.map((body) => ({ body })))
  return run(['customers/acme', ...action, '--url', url])
}

function refusal(status: number, code: string, error: string): Reply {
  return { status, body: { error, code, retryable: false } }
}

const stats = {
  ns: 'acme',
  epoch: '01M81C7HS6999P5EKQG4BP3PZ0',
  pendingEvents: 4,
  pendingBytes: 2_224_000,
  lagMs: 7_503_000,
  lastLSN: 6,
  isPaused: false,
  inFlight: { firstLSN: 3, lastLSN: 4 },
}

describe('stats', () => {
  it('prints a field per line, and sizes in words', async () => {
    expect(await act(['stats'], stats)).toEqual({
      code: 0,
      stderr: '',
      stdout: [
        'ns                 acme',
        'epoch              01M81C7HS6999P5EKQG4BP3PZ0',
        'pendingEvents      4',
        'pendingBytes       2224000 (2.2 MB)',
        'lagMs              7503000 (2 h 5 min)',
        'lastLSN            6',
        'isPaused           false',
        'inFlight.firstLSN  3',
        'inFlight.lastLSN   4',
        '',
      ].join('\n'),
    })
    expect(calls).toMatchObject([{ path: '/admin/outbox/customers/acme/stats', argument: undefined }])
  })

  it('prints a snapshot per line, with what is known about it', async () => {
    const snapshots = [
      { name: 'document/Customer', rows: 120, startedAt: '2026-11-22T10:00:00.000Z' },
      { name: 'graph/Social', rows: 3, startedAt: '2026-11-22T09:00:00.000Z', error: 'a row is too large' },
    ]
    const { stdout } = await act(['stats'], { ...stats, captured: { people: 'live' }, snapshots })
    expect(stdout).toContain('snapshots.document/Customer  rows 120, startedAt 2026-11-22T10:00:00.000Z\n')
    expect(stdout).toMatch(/^snapshots\.graph\/Social +rows 3, startedAt .*, error a row is too large$/m)
    expect(stdout).toMatch(/^captured\.people +live$/m)
    expect((await act(['stats'], { ...stats, snapshots: [] })).stdout).not.toContain('snapshots')
  })

  it('notes an outbox that never had an event: the name may be misspelt', async () => {
    const run = await act(['stats'], { ...stats, lastLSN: 0 })
    expect(run).toMatchObject({ code: 0, stderr: expect.stringMatching(/^customers\/acme has never had an event/) })
    expect((await act(['stats'], stats)).stderr).toBe('')
  })

  it('prints the answer itself as JSON', async () => {
    expect(JSON.parse((await act(['stats', '--json'], stats)).stdout)).toEqual(stats)
  })

  it('sends no control character of an answer to the terminal', async () => {
    const { stdout } = await act(['stats'], { lastError: '\u001b[2Jgone', '\u001b[1m': 1 })
    expect(stdout).toContain(String.raw`\u001b[2Jgone`)
    expect(stdout).not.toContain('\u001b')
  })
})

describe('the object', () => {
  it.each([
    ['customers/acme', '/customers/acme/'],
    ['customers/a/b c', '/customers/a%2Fb%20c/'],
    ['films/Zürich?#', '/films/Z%C3%BCrich%3F%23/'],
  ])('is reached by its name, with any characters: %s', async (place, path) => {
    replies.push({ body: stats })
    expect(await run([place, 'stats', '--url', `${url}/`])).toMatchObject({ code: 0 })
    expect(calls[0]?.path).toBe(`/admin/outbox${path}stats`)
  })

  it.each(['acme', '/acme', 'customers/', '', 'customers/..', 'customers/.', '../acme', './acme'])(
    'is refused if it is not <class>/<object>: "%s"',
    async (place) => {
      expect(await run([place, 'stats', '--url', url])).toMatchObject({ code: 2, stdout: '' })
      expect(calls).toEqual([])
    },
  )
})

describe('list', () => {
  const event = { lsn: 1, status: 'pending', timestamp: '2026-11-22T10:18:34.682Z', type: 'A', key: 'k', data: {} }

  it('takes the filter from its options', async () => {
    const options = '--status pending --type A --store document --table T --key k --from 2 --to 9 --limit 5'
    expect(await act(['list', ...options.split(' ')], { items: [] })).toMatchObject({ code: 0 })
    expect(calls[0]?.argument).toEqual({
      status: 'pending',
      type: 'A',
      store: 'document',
      table: 'T',
      key: 'k',
      from: 2,
      to: 9,
      limit: 5,
    })
  })

  it('prints a page as a table, and how to get the next', async () => {
    const { code, stdout, stderr } = await act(['list'], { items: [event], nextLSN: 2 })
    expect({ code, stderr }).toEqual({ code: 0, stderr: 'there may be more: --from 2, or --all-pages\n' })
    expect(stdout.split('\n')).toMatchObject([
      expect.any(String),
      expect.stringMatching(/^│ lsn │ status {2}│ timestamp +│ type │ table │ key │ actor │$/),
      expect.any(String),
      expect.stringMatching(/^│ 1 {3}│ pending │ 2026-11-22T10:18:34.682Z │ A {4}│ {7}│ k {3}│ {7}│$/),
      expect.any(String),
      '1 row',
      '',
    ])
  })

  it('reads page after page with --all-pages', async () => {
    const pages = [{ items: [event], nextLSN: 2 }, { items: [], nextLSN: 1_002 }, { items: [{ ...event, lsn: 1_003 }] }]
    const { stdout, stderr } = await act(['list', '--all-pages', '--type', 'A'], ...pages)
    expect(stdout).toContain('2 rows')
    expect(stderr).toBe('')
    expect(calls.map((call) => call.argument)).toEqual([
      { type: 'A' },
      { type: 'A', from: 2 },
      { type: 'A', from: 1_002 },
    ])
  })

  it.each([
    { args: [], pages: [{ items: [event, event], nextLSN: 7 }], printed: { items: [event, event], nextLSN: 7 } },
    { args: [], pages: [{ items: [] }], printed: { items: [] } },
    {
      args: ['--all-pages'],
      pages: [{ items: [event], nextLSN: 7 }, { items: [event] }],
      printed: { items: [event, event] },
    },
  ])('prints a page in JSON: $printed', async ({ args, pages, printed }) => {
    expect(JSON.parse((await act(['list', '--json', ...args], ...pages)).stdout)).toEqual(printed)
  })
})

describe('get', () => {
  it('prints an event, with the fields inside it', async () => {
    const { stdout } = await act(['get', '3'], { lsn: 3, after: { name: 'Alice', tags: ['a'] } })
    expect(stdout).toBe('lsn         3\nafter.name  Alice\nafter.tags  ["a"]\n')
    expect(calls).toMatchObject([{ path: '/admin/outbox/customers/acme/get', argument: 3 }])
  })

  it('fails if there is no such event', async () => {
    expect(await act(['get', '99'], null)).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining('there is no event with LSN 99'),
    })
    expect(await act(['get', '99', '--json'], null)).toMatchObject({ code: 1, stdout: 'null\n' })
  })
})

describe('pause, resume and flush', () => {
  it('report what they did', async () => {
    expect((await act(['pause'], null)).stdout).toMatch(/^paused;/)
    expect((await act(['resume'], null)).stdout).toBe('resumed\n')
    expect((await act(['flush'], { delivered: 2, pendingEvents: 0 })).stdout).toBe(
      'delivered      2\npendingEvents  0\n',
    )
    expect((await act(['pause', '--json'], null)).stdout).toBe('null\n')
    expect(calls.map((call) => call.path.split('/').at(-1))).toEqual(['pause', 'resume', 'flush', 'pause'])
  })
})

describe('dead letters', () => {
  it('are listed with their ids and reasons', async () => {
    const letter = {
      lsn: 7,
      id: '01M81C7XGTAJFSGCDDZ95EK04X',
      event: { type: 'Order.placed' },
      attempts: 1,
      reason: '422',
    }
    const { stdout } = await act(['dead-letters', '--table', 'T'], { items: [letter] })
    expect(stdout).toMatch(/│ 7 {3}│ 01M81C7XGTAJFSGCDDZ95EK04X │ Order.placed │ .*│ 422 +│/)
    expect(calls).toMatchObject([{ path: '/admin/outbox/customers/acme/deadLetters', argument: { table: 'T' } }])
  })

  it('are redriven by their ids', async () => {
    expect((await act(['redrive', '--id', 'a', '--id', 'b'], stats, { redriven: 2 })).stdout).toBe('2 redriven\n')
    expect(calls[1]?.argument).toEqual({ ids: ['a', 'b'] })
  })

  it('are redriven page by page, up to where the log ended before', async () => {
    const pages = [
      { redriven: 100, nextLSN: 101 },
      { redriven: 30, nextLSN: 6_000 },
    ]
    const run = await act(['redrive', '--all', '--json'], { ...stats, lastLSN: 5_000 }, ...pages)
    expect(JSON.parse(run.stdout)).toEqual({ redriven: 130, nextLSN: 6_000 })
    expect(calls.slice(1).map((call) => call.argument)).toEqual([{ all: true }, { all: true, from: 101, to: 5_000 }])
  })

  it('are redriven up to --limit', async () => {
    expect((await act(['redrive', '--all', '--limit', '2'], stats, { redriven: 2, nextLSN: 3 })).stdout).toBe(
      '2 redriven\n',
    )
    expect(calls[1]?.argument).toEqual({ all: true, limit: 2 })
  })

  it('are discarded with a reason', async () => {
    const pages = [{ discarded: 1, nextLSN: 5 }, { discarded: 0 }]
    expect((await act(['discard', '--type', 'A', '--reason', 'a test'], stats, ...pages)).stdout).toBe('1 discarded\n')
    expect(calls[2]?.argument).toEqual({ type: 'A', reason: 'a test', from: 5, to: 6 })
    expect(await act(['discard', '--all'])).toMatchObject({ code: 2, stderr: expect.stringContaining('--reason') })
  })

  it('are not chosen by accident: the server refuses, and the command names the options', async () => {
    const said = 'outbox.redrive: say which dead letters: { ids }, a filter, or { all: true }'
    replies.push({ body: stats }, refusal(400, 'invalid-argument', said))
    const { code, stdout, stderr } = await run(['customers/acme', 'redrive', '--url', url])
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toBe(`durable-outbox outbox: ${said} (here: --id <id>, --type and so on, or --all)\n`)
    // Nothing that the command adds may count as a choice.
    expect(calls[1]?.argument).toEqual({})
  })

  it('are counted if it fails half-way', async () => {
    replies.push({ body: stats }, { body: { redriven: 100, nextLSN: 5 } }, refusal(503, 'unavailable', 'try again'))
    expect(await run(['customers/acme', 'redrive', '--all', '--url', url])).toEqual({
      code: 1,
      stdout: '',
      stderr: '100 redriven; it failed before LSN 5\ndurable-outbox outbox: try again\n',
    })
  })
})

describe('--subscription', () => {
  it('makes pause, resume and what is done with dead letters be about a subscription', async () => {
    await act(['pause', '--subscription', 'billing'], null)
    await act(['resume', '--subscription', 'billing'], null)
    await act(['dead-letters', '--subscription', 'billing'], { items: [] })
    await act(['redrive', '--all', '--subscription', 'billing'], stats, { redriven: 1 })
    const subscription = 'billing'
    expect(calls.map(({ argument }) => argument)).toEqual([
      { subscription },
      { subscription },
      { subscription },
      undefined,
      { subscription, all: true },
    ])
    expect(await act(['list', '--subscription', 'billing'])).toMatchObject({ code: 2 })
  })
})

describe('durable-outbox subscriptions', () => {
  const billing = {
    name: 'billing',
    status: 'failing since 2026-11-28T10:00:00.000Z: 503 on purpose',
    ackedLSN: 3,
    pendingEvents: 2,
    lagMs: 60_000,
    deliveredEvents: 2,
    missedEvents: 0,
    deadLetters: 1,
    lastError: '503 on purpose',
    deliveries: [
      {
        at: '2026-11-28T10:01:00.000Z',
        status: 'failed',
        firstLSN: 4,
        lastLSN: 5,
        events: 2,
        attempts: 7,
        durationMs: 12,
        reason: '503 on purpose',
      },
    ],
  }

  function subscriptions(words: readonly string[], ...bodies: readonly unknown[]): Promise<Run> {
    replies.push(...bodies.map((body) => ({ body })))
    return runCommand(['subscriptions', 'customers/acme', ...words, '--url', url], { env: {} })
  }

  it('prints all of them, and one with its deliveries', async () => {
    const { stdout } = await subscriptions([], [billing])
    expect(stdout).toMatch(/│ billing │ failing since .*: 503 on purpose │ 3 +│ 2 +│/)
    expect(JSON.parse((await subscriptions(['--json'], [billing])).stdout)).toEqual([billing])
    const one = await subscriptions(['show', 'billing'], [billing])
    expect(one.stdout).toMatch(/lagMs +60000 \(1 min/)
    expect(one.stdout).toMatch(/│ 2026-11-28T10:01:00.000Z │ failed │ 4 +│ 5 +│ 2 +│ 7 +│ 12 +│ 503 on purpose │/)
    expect(calls.every(({ path }) => path === '/admin/outbox/customers/acme/subscriptions')).toBe(true)
    expect(await subscriptions(['show', 'other'], [billing])).toMatchObject({ code: 1 })
  })

  it('does with one what the outbox command does with --subscription, and drops it', async () => {
    expect((await subscriptions(['pause', 'billing'], null)).stdout).toMatch(/^paused/)
    expect((await subscriptions(['resume', 'billing'], null)).stdout).toBe('resumed\n')
    expect((await subscriptions(['redrive', 'billing', '--all'], stats, { redriven: 3 })).stdout).toBe('3 redriven\n')
    expect((await subscriptions(['drop', 'billing'], null)).stdout).toBe('dropped\n')
    expect(calls.map(({ path }) => path.split('/').at(-1))).toEqual(['pause', 'resume', 'stats', 'redrive', 'drop'])
    expect(calls.at(-1)?.argument).toEqual({ subscription: 'billing' })
  })

  it.each([['pause'], ['restart', 'billing'], ['drop', 'billing', 'more'], ['show', 'a', '--subscription', 'b']])(
    'refuses %s %s',
    async (...words) => {
      expect(await subscriptions(words)).toMatchObject({ code: 2, stdout: '' })
    },
  )
})

describe('snapshot', () => {
  it('is started', async () => {
    const { stdout } = await act(['snapshot', 'document/Customer', '--chunk', '100'], {
      name: 'document/Customer',
      rows: 0,
    })
    expect(stdout).toContain('started: document/Customer')
    expect(calls.map((call) => call.argument)).toEqual([{ store: 'document/Customer', chunk: 100 }])
  })
})

describe('replay', () => {
  it('continues until the range is done', async () => {
    const { stdout } = await act(
      ['replay', '--from-lsn', '2', '--to-lsn', '2500'],
      { replayed: 1_000, nextLSN: 1_002 },
      { replayed: 999, nextLSN: 2_001 },
      { replayed: 500 },
    )
    expect(stdout).toBe('2499 replayed\n')
    expect(calls.map((call) => call.argument)).toEqual([
      { fromLSN: 2, toLSN: 2_500 },
      { fromLSN: 1_002, toLSN: 2_500 },
      { fromLSN: 2_001, toLSN: 2_500 },
    ])
  })
})

describe('the token', () => {
  it.each([
    ['from the environment', [], { ADMIN_TOKEN: 's3cret' }, 'Bearer s3cret'],
    ['from --token, which comes first', ['--token', 'other'], { ADMIN_TOKEN: 's3cret' }, 'Bearer other'],
    ['without the line break of a file', [], { ADMIN_TOKEN: 's3cret\n' }, 'Bearer s3cret'],
    ['not at all if there is none', [], { ADMIN_TOKEN: '' }, undefined],
  ])('is sent %s', async (_, args, env: Record<string, string>, authorization) => {
    replies.push({ body: stats })
    await run(['customers/acme', 'stats', '--url', url, ...args], env)
    expect(calls[0]?.headers.authorization).toBe(authorization)
  })

  it.each([
    'http://example.com',
    'http://127.0.0.1.example.com',
    'http://localhost.example.com:8787',
    'http://10.0.0.1',
  ])('[I8] is not sent unencrypted, except on this machine: %s', async (host) => {
    const result = await run(['customers/acme', 'stats', '--url', host, '--token', 's3cret'])
    expect(result).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('unencrypted; use https') })
  })

  it('[I8] is not sent on to the target of a redirect, and is never printed', async () => {
    replies.push({ status: 308, headers: { location: 'https://example.com/' }, body: '' })
    const redirected = await run(['customers/acme', 'stats', '--url', url, '--token', 's3cret'])
    expect(redirected).toMatchObject({ code: 1, stderr: expect.stringContaining('redirects to https://example.com/') })
    const unsendable = await run(['customers/acme', 'stats', '--url', url, '--token', 's3cret\u2603'])
    expect(unsendable).toMatchObject({ code: 2, stderr: expect.stringContaining('no HTTP header can hold') })
    for (const { stdout, stderr } of [redirected, unsendable]) expect(stdout + stderr).not.toContain('s3cret')
  })

  it('is asked for if the server needs it', async () => {
    replies.push(refusal(401, 'unauthorized', 'admin: no token'))
    const { code, stderr } = await run(['customers/acme', 'stats', '--url', url])
    expect(code).toBe(1)
    expect(stderr).toContain('admin: no token (give it the token: ADMIN_TOKEN in the environment, or --token)')
  })
})

describe('a server that is not there, or another one', () => {
  it('is reported if it does not run', async () => {
    const gone = createServer()
    const nowhere = await listen(gone)
    await new Promise((resolve) => gone.close(resolve))
    expect(await run(['customers/acme', 'stats', '--url', nowhere])).toEqual({
      code: 1,
      stdout: '',
      stderr: `durable-outbox outbox: ${nowhere} refuses connections; is wrangler dev running?\n`,
    })
  })

  it.each([
    { status: 404, body: '<h1>Not found</h1>', error: 'answered 404 without the JSON of outboxRoutes' },
    { status: 200, body: 'hello', error: 'answered 200 without the JSON of outboxRoutes' },
    { status: 500, body: { message: 'oops' }, error: 'answered 500 without the JSON of outboxRoutes' },
    { status: 200, body: ['something else'], error: 'the answer is not that of this version' },
  ])('is reported if it has no such routes: $status $body', async ({ status, body, error }) => {
    replies.push({ status, body })
    const { code, stderr } = await run(['customers/acme', 'stats', '--url', url])
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining(error) })
  })

  it('cannot drive the terminal with its message', async () => {
    replies.push(refusal(404, 'not-found', 'no \u001b[2J'))
    expect((await run(['customers/acme', 'stats', '--url', url])).stderr).toBe('durable-outbox outbox: no \\u001b[2J\n')
  })
})

describe('a command line that makes no sense', () => {
  it.each([
    [[], 'give it an object and what to do'],
    [['customers/acme'], 'give it an object and what to do'],
    [['customers/acme', 'constructor'], 'there is no constructor; there are stats, list'],
    [['customers/acme', 'stats', 'now'], 'stats does not take "now"'],
    [['customers/acme', 'stats', '--all'], 'stats does not take --all'],
    [['customers/acme', 'list', '--reason', 'x'], 'list does not take --reason'],
    [['customers/acme', 'list', '--sort', 'x'], "Unknown option '--sort'"],
    [['customers/acme', 'list', '--limit', 'many'], '--limit is a whole number, not "many"'],
    [['customers/acme', 'list', '--from', '1.5'], '--from is a whole number, not "1.5"'],
    [['customers/acme', 'get'], 'get needs one more word: get <lsn>'],
    [['customers/acme', 'get', '-1'], 'outbox --help'],
    [['customers/acme', 'replay', '--from-lsn', '1'], 'replay needs --from-lsn <lsn> and --to-lsn <lsn>'],
    [['customers/acme', 'snapshot'], 'snapshot needs one more word: snapshot <store>'],
    [['customers/acme', 'stats', '--url', 'localhost:8787'], '--url localhost:8787 is not an http or https URL'],
    [['customers/acme', 'stats', '--url', 'https://a:b@example.com'], '--url is more than the address of a server'],
  ])('exits with 2: %s', async (args, error) => {
    expect(await run(args)).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining(error) })
    expect(calls).toEqual([])
  })
})

describe('the real Worker', () => {
  const state = mkdtempSync(join(tmpdir(), 'durable-outbox-admin-'))
  let worker: Runtime

  beforeAll(async () => {
    worker = await Runtime.start({ state, vars: { ADMIN_TOKEN: 's3cret' } })
  })

  afterAll(async () => {
    await worker.kill()
    rmSync(state, { recursive: true, force: true })
  })

  it('[I8] shows an outbox to a caller with the token, and to no other', async () => {
    const body = JSON.stringify({ name: 'Alice', email: 'alice@example.com' })
    await fetch(`${worker.url}/customers/a%2Fb`, { method: 'POST', body })
    const at = ['--url', worker.url]
    const env = { ADMIN_TOKEN: 's3cret' }
    expect(await run(['customers/a/b', 'flush', ...at], env)).toMatchObject({ code: 0, stderr: '' })
    const { stdout } = await run(['customers/a/b', 'stats', '--json', ...at], env)
    expect(JSON.parse(stdout)).toMatchObject({ ns: 'a/b', source: 'DO/Customers', ackedLSN: 2, pendingEvents: 0 })
    const list = await run(['customers/a/b', 'list', '--type', 'Customer.created', ...at], env)
    expect(list.stdout).toMatch(/│ 2 +│ delivered │ .* │ Customer.created │/)
    expect(await run(['customers/a/b', 'stats', ...at])).toMatchObject({ code: 1, stdout: '' })
    expect(await run(['customers/a/b', 'stats', ...at, '--token', 'S3cret'])).toMatchObject({ code: 1, stdout: '' })
    expect(await run(['lake/cdc.events', 'stats', ...at], env)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('there is no outbox of lake/cdc.events'),
    })
  })
})
