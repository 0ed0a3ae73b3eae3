// The command with the project's real wrangler, against a stand-in for Cloudflare's REST API.

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CATALOG_TOKEN } from './provision-account.ts'
import { actions, createProject, STREAM_IN_PRODUCTION, workspace } from './provision-project.ts'

const repository = join(import.meta.dirname, '../..')
const eventsSQL = readFileSync(join(repository, 'streams/events.sql'), 'utf8')
const eventsSchema: { fields: { name: string; type: string; required: boolean }[] } = JSON.parse(
  readFileSync(join(repository, 'streams/events.schema.json'), 'utf8'),
)

afterAll(() => rmSync(workspace, { recursive: true, force: true }))

const PLACEHOLDER = '00000000000000000000000000000000'
const NEW = {
  bucket: 'create',
  catalog: 'create',
  stream: 'create',
  sink: 'create',
  pipeline: 'create',
  binding: 'write',
}
const RESOURCES = Object.keys(NEW)
const KEPT = Object.fromEntries(RESOURCES.map((resource) => [resource, 'keep']))

// One project and one account, from nothing to its second version. Each run of wrangler takes a second, so each test
// continues with what the ones before it have created.
describe('an account', () => {
  let here: Awaited<ReturnType<typeof createProject>>

  beforeAll(async () => {
    here = await createProject()
  })

  afterAll(() => here.account.close())

  it('is planned for, and left empty by --dry-run', async () => {
    delete here.env['BASIN_CATALOG_TOKEN']
    const run = await here.provision('--dry-run')
    expect(run).toMatchObject({ code: 0, stderr: '' })
    expect(run.stdout).toMatch(/^The plan for your account as it is now:\n/)
    expect(actions(run)).toEqual(NEW)
    expect(here.account.writes).toEqual([])
    expect(here.configuration()).toBe(STREAM_IN_PRODUCTION)
  })

  it('is left empty if there is no token for the sink', async () => {
    const run = await here.provision()
    expect(run.code).toBe(1)
    expect(run.stderr).toContain('as BASIN_CATALOG_TOKEN; nothing was created')
    expect(here.account.writes).toEqual([])
  })

  it('keeps what an interrupted run has created, for the next run to resume', async () => {
    here.env['BASIN_CATALOG_TOKEN'] = CATALOG_TOKEN
    here.account.fault = (call) => (call === 'POST /r2-catalog/cdc-events/enable' ? 500 : undefined)
    const run = await here.provision()
    expect(run.code).toBe(1)
    expect(run.stderr).toMatch(
      / failed\. something is wrong here .* \(run it again.*: it resumes where it stopped\)\n$/,
    )
    expect(actions(run)).toEqual(NEW)
    expect(here.configuration()).toBe(STREAM_IN_PRODUCTION)
  })

  it('is not overruled if it has the table but not its sink', async () => {
    here.account.fault = () => undefined
    here.account.tables.add('cdc-events/cdc.events')
    const run = await here.provision()
    expect(run.code).toBe(1)
    expect(run.stderr).toContain(
      'table cdc.events already exists [code: 1014] (a sink does not take over a table that exists; ',
    )
    expect(actions(run)).toEqual({ ...NEW, bucket: 'keep' })
    expect(here.configuration()).toBe(STREAM_IN_PRODUCTION)
  })

  it('has created what it was asked for even if its answer was lost', async () => {
    here.account.tables.clear()
    here.account.fault = (call) => (call === 'POST /pipelines/v1/pipelines' ? 'answer lost' : undefined)
    const run = await here.provision()
    expect(run.code).toBe(1)
    expect(run.stderr).toContain('(check the network and run it again: it resumes where it stopped)')
    expect(actions(run)).toEqual({ ...KEPT, sink: 'create', pipeline: 'create', binding: 'write' })
    expect(here.configuration()).toBe(STREAM_IN_PRODUCTION)
  })

  it('has everything once, and the stream is bound, after a run without a failure', async () => {
    delete here.env['BASIN_CATALOG_TOKEN'] // It is needed for the sink alone, and that is there.
    here.account.fault = () => undefined
    const run = await here.provision()
    const { streams, sinks, pipelines } = here.account
    expect(run).toMatchObject({ code: 0 })
    expect(actions(run)).toEqual({ ...KEPT, binding: 'write' })
    expect(streams.map(({ name, schema }) => ({ name, schema }))).toEqual([
      { name: 'cdc_events', schema: eventsSchema },
    ])
    expect(sinks.map(({ name, config }) => ({ name, ...config }))).toMatchObject([
      { name: 'cdc_events_sink', bucket: 'cdc-events', namespace: 'cdc', table_name: 'events' },
    ])
    const sql = eventsSQL.replace('INTO cdc_events', 'INTO cdc_events_sink').replace('FROM events', 'FROM cdc_events')
    expect(pipelines.map(({ name, sql }) => ({ name, sql }))).toEqual([{ name: 'cdc_events', sql: sql.trim() }])
    expect(here.configuration()).toBe(STREAM_IN_PRODUCTION.replace(PLACEHOLDER, streams[0]?.id ?? ''))
  })

  it('is not touched by another run, nor is the configuration', async () => {
    const before = { writes: [...here.account.writes], configuration: here.configuration() }
    const run = await here.provision('--json')
    expect(run).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(run.stdout)).toMatchObject({
      accountRead: true,
      streamId: here.account.streams[0]?.id,
      steps: RESOURCES.map((resource) => ({ resource, action: 'keep' })),
    })
    expect({ writes: here.account.writes, configuration: here.configuration() }).toEqual(before)
  })

  it('is not touched if the project wants another schema and other SQL; each difference is named', async () => {
    writeStreams(here.root)
    const before = { writes: [...here.account.writes], configuration: here.configuration() }
    const run = await here.provision()
    expect(run.code).toBe(1)
    expect(actions(run)).toEqual({ ...KEPT, stream: 'conflict', pipeline: 'conflict' })
    expect(run.stdout.split('\n').filter((line) => line.startsWith('          '))).toEqual([
      '          key: the account has string optional, wanted is int64 optional',
      '          actor: the account has string optional, wanted is string required',
      '          visibility: the account has string optional, wanted is no such column',
      '          - visibility,',
      '          - FROM cdc_events',
      "          + FROM cdc_events WHERE type <> 'cdc.read'",
    ])
    expect(run.stderr).toContain('durable-outbox provision --suffix _v2, and migrate')
    expect({ writes: here.account.writes, configuration: here.configuration() }).toEqual(before)
  })

  it('has the second version beside the first, and the second is bound', async () => {
    const [first] = here.account.streams
    here.env['BASIN_CATALOG_TOKEN'] = CATALOG_TOKEN
    const before = here.configuration()
    const run = await here.provision('--suffix', '_v2')
    const { streams, sinks, pipelines, tables } = here.account
    expect(run).toMatchObject({ code: 0 })
    expect(streams.map(({ name }) => name)).toEqual(['cdc_events', 'cdc_events_v2'])
    expect(sinks.map(({ name }) => name)).toEqual(['cdc_events_sink', 'cdc_events_sink_v2'])
    expect(pipelines.map(({ name }) => name)).toEqual(['cdc_events', 'cdc_events_v2'])
    expect(pipelines[1]?.sql).toMatch(
      /INSERT INTO cdc_events_sink_v2\s.*\sFROM cdc_events_v2 WHERE type <> 'cdc.read'$/s,
    )
    expect([...tables]).toEqual(['cdc-events/cdc.events', 'cdc-events/cdc.events_v2'])
    expect(here.configuration()).toBe(before.replace(first?.id ?? '', streams[1]?.id ?? ''))
  })

  it('got no unknown request, and its secret is in no log of wrangler', () => {
    expect(here.account.unknown).toEqual([])
    const logs = join(workspace, 'config/.wrangler/logs')
    const texts = readdirSync(logs).map((name) => readFileSync(join(logs, name), 'utf8'))
    expect(texts.length).toBeGreaterThan(0)
    expect(texts.filter((text) => text.includes(CATALOG_TOKEN))).toEqual([])
  })
})

describe('--dry-run without a login', () => {
  let here: Awaited<ReturnType<typeof createProject>>

  beforeAll(async () => {
    here = await createProject()
    delete here.env['CLOUDFLARE_API_TOKEN']
    delete here.env['BASIN_CATALOG_TOKEN']
  })

  afterAll(() => here.close())

  it('plans as if nothing existed, and says so', async () => {
    here.account.buckets.add('cdc-events')
    const run = await here.provision('--dry-run')
    expect(run).toMatchObject({ code: 0, stderr: '' })
    expect(run.stdout).toMatch(
      /^wrangler has no login, so this is the plan for an account that has nothing yet:\ncreate +bucket/,
    )
    expect(actions(run)).toEqual(NEW)
    expect(here.configuration()).toBe(STREAM_IN_PRODUCTION)
  })

  it('says so to programs', async () => {
    const run = await here.provision('--dry-run', '--json')
    expect(run).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(run.stdout)).toMatchObject({
      accountRead: false,
      streamId: null,
      steps: Object.entries(NEW).map(([resource, action]) => ({ resource, action })),
    })
  })

  it('does not take a token that is refused for none', async () => {
    here.env['CLOUDFLARE_API_TOKEN'] = 'a-token-of-another-account'
    const run = await here.provision('--dry-run')
    expect(run).toMatchObject({ code: 1, stdout: '' })
    expect(run.stderr).toContain('Authentication error [code: 10000]')
  })
})

/** Writes streams of the project's own, with a schema and SQL that differ from the package's. */
function writeStreams(root: string): void {
  const fields = eventsSchema.fields
    .filter(({ name }) => name !== 'visibility')
    .map((field) => (field.name === 'key' ? { ...field, type: 'int64' } : field))
    .map((field) => (field.name === 'actor' ? { ...field, required: true } : field))
  const sql = eventsSQL.replace('  visibility,\n', '').replace('FROM events', "FROM events WHERE type <> 'cdc.read'")
  mkdirSync(join(root, 'streams'))
  writeFileSync(join(root, 'streams/events.schema.json'), JSON.stringify({ fields }))
  writeFileSync(join(root, 'streams/events.sql'), sql)
}

describe('a refusal', () => {
  let here: Awaited<ReturnType<typeof createProject>>

  beforeAll(async () => {
    here = await createProject()
  })

  afterAll(() => here.account.close())

  it('of the API is quoted, with the command that got it', async () => {
    here.account.fault = (call) => (call === 'GET /r2/buckets/cdc-events' ? 500 : undefined)
    const run = await here.provision()
    expect(run).toMatchObject({ code: 1, stdout: '' })
    expect(run.stderr).toMatch(/^durable-outbox provision: wrangler r2 bucket info cdc-events: A request .* failed/)
    expect(run.stderr).toContain('something is wrong here [code: 10001] (')
    here.account.fault = () => undefined
  })

  it('of a token that lacks permissions names where they are listed, without a stack', async () => {
    here.env['CLOUDFLARE_API_TOKEN'] = 'a-token-of-another-account'
    const run = await here.provision()
    expect(run).toMatchObject({ code: 1, stdout: '' })
    expect(run.stderr).toContain("Authentication error [code: 10000] (docs/deploy.md lists the token's permissions)\n")
    expect(run.stderr.trim()).not.toContain('\n')
  })

  it('of wrangler without a login is in its own words', async () => {
    delete here.env['CLOUDFLARE_API_TOKEN']
    const run = await here.provision()
    expect(run).toMatchObject({ code: 1, stdout: '' })
    expect(run.stderr).toContain("it's necessary to set a CLOUDFLARE_API_TOKEN environment variable")
    expect(run.stderr).toContain('(npx wrangler login works too)')
  })

  it('leaves the account and the configuration as they were', () => {
    expect(here.account.writes).toEqual([])
    expect(here.configuration()).toBe(STREAM_IN_PRODUCTION)
  })

  it('holds no secret, even if wrangler prints everything that it got', async () => {
    const wrangler = mkdtempSync(join(workspace, 'wrangler-'))
    writeFileSync(join(wrangler, 'package.json'), '{"bin":{"wrangler":"bin.cjs"}}')
    writeFileSync(join(wrangler, 'bin.cjs'), 'console.error("✘ [ERROR] lost in", process.env); process.exitCode = 1')
    const { account, provision } = await createProject({ wrangler })
    const run = await provision()
    expect(run.stderr).toContain("lost in { CLOUDFLARE_API_BASE_URL: 'http://127.0.0.1")
    expect(run.stderr).toContain("BASIN_CATALOG_TOKEN: '***'")
    account.close()
  })

  it('comes before any request if the project has no wrangler', async () => {
    rmSync(join(here.root, 'node_modules'), { recursive: true })
    const run = await here.provision()
    expect(run).toMatchObject({ code: 1, stdout: '' })
    expect(run.stderr).toContain(
      'durable-outbox provision: the package wrangler is not installed; npm install -D wrangler',
    )
  })

  it.each([
    { args: ['now'], error: 'it takes options only, not "now"' },
    {
      args: ['--stream', 'cdc-events'],
      error: '"cdc-events" is not a name for a stream: it must match ^[a-zA-Z0-9_]+$',
    },
    { args: ['--bucket', 'CDC'], error: '"CDC" is not a name for a bucket' },
    { args: ['--suffix', '; DROP'], error: '"events; DROP" is not a name for a table' },
    { args: ['--sink', 'cdc_events'], error: '--stream and --sink are both cdc_events; the SQL needs two names' },
    { args: ['--roll-interval', '30'], error: '--roll-interval 30 is not a whole number of seconds, at least 60' },
    { args: ['--env', 'staging'], error: 'the configuration has no environment staging; it has: lake, production' },
    { args: ['--config', 'nowhere.toml'], error: '--config nowhere.toml does not exist' },
    { args: ['--force'], error: "Unknown option '--force'" },
  ])('with exit code 2 comes for $args', async ({ args, error }) => {
    const run = await here.provision(...args)
    expect(run).toMatchObject({ code: 2, stdout: '' })
    expect(run.stderr).toContain(error)
  })

  it.each([
    ['events.sql', 'SELECT 1', 'must be INSERT INTO cdc_events SELECT … FROM events'],
    ['events.schema.json', '{"fields": [{"name": "id"}]}', 'events.schema.json is not the schema of a stream: '],
    ['events.schema.json', '{', 'events.schema.json is not the schema of a stream: '],
  ])('comes for a %s that is not valid: %s', async (name, text, error) => {
    mkdirSync(join(here.root, 'streams'), { recursive: true })
    writeFileSync(join(here.root, 'streams', name), text)
    const run = await here.provision()
    expect(run).toMatchObject({ code: 1, stdout: '' })
    expect(run.stderr).toContain(error)
    rmSync(join(here.root, 'streams'), { recursive: true })
  })
})
