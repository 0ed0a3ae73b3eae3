// `provision --lake` with the project's real wrangler, against a stand-in for Cloudflare's REST API.

import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { unstable_readConfig as readConfig } from 'wrangler'
import { ACCOUNT, CATALOG_TOKEN } from './provision-account.ts'
import { actions, createProject, workspace } from './provision-project.ts'

const SHOP = `name = "shop" # ours
main = "src/index.ts"
compatibility_date = "2026-08-01"

[env.production.vars]
REGION = "west"

[[env.production.migrations]]
tag = "v1"
new_sqlite_classes = ["Orders"]
`
const WITH_VARIABLES = `REGION = "west"
LAKE_CATALOG_URI = "https://catalog.cloudflarestorage.com/${ACCOUNT}/cdc-events"
LAKE_CATALOG_WAREHOUSE = "${ACCOUNT}_cdc-events"
`
const ADDED = `
[[env.production.durable_objects.bindings]]
name = "LAKE_TABLE"
class_name = "LakeTable"

[[env.production.migrations]]
tag = "durable-outbox-lake"
new_sqlite_classes = [ "LakeTable" ]

[[env.production.r2_buckets]]
binding = "LAKE_BUCKET"
bucket_name = "cdc-events"

[[env.production.services]]
binding = "EVENTS_PIPELINE"
service = "shop-production"
entrypoint = "Lake"
`
const PROVISIONED = SHOP.replace('REGION = "west"\n', WITH_VARIABLES) + ADDED

const NEW = {
  bucket: 'create',
  catalog: 'create',
  secret: 'create',
  object: 'write',
  migration: 'write',
  variable: 'write',
  binding: 'write',
}
const KEPT = Object.fromEntries(Object.keys(NEW).map((resource) => [resource, 'keep']))

afterAll(() => rmSync(workspace, { recursive: true, force: true }))

// One project and one account, from nothing to a lake. Each run of wrangler takes a second, so each test continues with
// what the ones before it have created.
describe('a lake', () => {
  let here: Awaited<ReturnType<typeof createProject>>

  beforeAll(async () => {
    here = await createProject({ text: SHOP })
    delete here.env['LAKE_CATALOG_TOKEN']
  })

  afterAll(() => here.close())

  it('is planned without a login, as if nothing existed', async () => {
    const { CLOUDFLARE_API_TOKEN: token = '', ...env } = here.env
    delete here.env['CLOUDFLARE_API_TOKEN']
    expect(env).not.toHaveProperty('LAKE_CATALOG_TOKEN')
    const run = await here.provision('--lake', '--dry-run')
    expect(run).toMatchObject({ code: 0, stderr: '' })
    expect(run.stdout).toMatch(/^wrangler has no login, so this is the plan for an account that has nothing yet:\n/)
    expect(actions(run)).toEqual(NEW)
    here.env['CLOUDFLARE_API_TOKEN'] = token
  })

  it('is planned for the account, which --dry-run leaves empty', async () => {
    const run = await here.provision('--lake', '--dry-run')
    expect(run).toMatchObject({ code: 0, stderr: '' })
    expect(run.stdout).toBe(`The plan for your account as it is now:
create    bucket     cdc-events
create    catalog    cdc-events
create    secret     LAKE_CATALOG_TOKEN
write     object     LAKE_TABLE
write     migration  LakeTable
write     binding    LAKE_BUCKET
write     variable   LAKE_CATALOG_URI
          the new catalog gives the value
write     variable   LAKE_CATALOG_WAREHOUSE
          the new catalog gives the value
write     binding    EVENTS_PIPELINE
`)
    expect(here.account.writes).toEqual([])
    expect(here.configuration()).toBe(SHOP)
  })

  it('is not begun without a token for its catalog', async () => {
    const run = await here.provision('--lake')
    expect(run.code).toBe(1)
    expect(run.stderr).toContain('as LAKE_CATALOG_TOKEN; nothing was created')
    expect(here.account.writes).toEqual([])
  })

  it('keeps what an interrupted run has created, for the next run to resume', async () => {
    here.env['LAKE_CATALOG_TOKEN'] = CATALOG_TOKEN
    here.account.fault = (call) => (call === 'POST /r2-catalog/cdc-events/enable' ? 500 : undefined)
    const run = await here.provision('--lake')
    expect(run.code).toBe(1)
    expect(run.stderr).toMatch(/something is wrong here .* \(run it again.*: it resumes where it stopped\)\n$/)
    expect([...here.account.buckets]).toEqual(['cdc-events'])
    expect(here.configuration()).toBe(SHOP)
  })

  it('has its secret even if the answer was lost', async () => {
    let drafts = 0
    here.account.fault = (call) => {
      if (call === 'PUT /workers/scripts/shop-production') drafts += 1
      return call.endsWith('/secrets') && drafts > 0 ? 'answer lost' : undefined
    }
    const run = await here.provision('--lake')
    expect(run.code).toBe(1)
    expect(actions(run)).toEqual({ ...NEW, bucket: 'keep' })
    expect(here.account.workers.get('shop-production')).toEqual(new Map([['LAKE_CATALOG_TOKEN', CATALOG_TOKEN]]))
    expect(here.configuration()).toBe(SHOP)
  })

  it('is bound in the configuration by a run without a failure, and nothing else changes there', async () => {
    here.account.fault = () => undefined
    delete here.env['LAKE_CATALOG_TOKEN'] // The secret is there.
    const run = await here.provision('--lake')
    expect(run).toMatchObject({ code: 0 })
    expect(actions(run)).toEqual({ ...NEW, bucket: 'keep', catalog: 'keep', secret: 'keep' })
    expect(here.configuration()).toBe(PROVISIONED)
    expect(run.stderr).toContain("must have: export { Lake, LakeTable } from 'durable-outbox/lake'")
  })

  it('is bound as wrangler reads it', () => {
    const config = readConfig({ config: join(here.root, 'wrangler.toml'), env: 'production' })
    expect(config).toMatchObject({
      name: 'shop-production',
      durable_objects: { bindings: [{ name: 'LAKE_TABLE', class_name: 'LakeTable' }] },
      migrations: [
        { tag: 'v1', new_sqlite_classes: ['Orders'] },
        { tag: 'durable-outbox-lake', new_sqlite_classes: ['LakeTable'] },
      ],
      r2_buckets: [{ binding: 'LAKE_BUCKET', bucket_name: 'cdc-events' }],
      services: [{ binding: 'EVENTS_PIPELINE', service: config.name, entrypoint: 'Lake' }],
      vars: { REGION: 'west', LAKE_CATALOG_WAREHOUSE: `${ACCOUNT}_cdc-events` },
    })
  })

  it('is not touched by another run, nor is the configuration', async () => {
    const writes = [...here.account.writes]
    const run = await here.provision('--lake')
    expect(run).toMatchObject({ code: 0, stderr: '' })
    expect(actions(run)).toEqual(KEPT)
    expect(here.account.writes).toEqual(writes)
    expect(here.configuration()).toBe(PROVISIONED)
  })

  it('is not moved to another bucket or table: each difference is a conflict', async () => {
    const writes = [...here.account.writes]
    const run = await here.provision('--lake', '--bucket', 'other', '--table', 'log')
    expect(run.code).toBe(1)
    expect(run.stdout).toContain(
      'conflict  binding    LAKE_BUCKET\n          bucket_name: the configuration has cdc-events, wanted is other\n',
    )
    expect(run.stderr).toContain('what exists is never changed')
    expect(here.account.writes).toEqual(writes)
    expect(here.configuration()).toBe(PROVISIONED)
  })

  it('has no secret in a log of wrangler', () => {
    const logs = join(workspace, 'config/.wrangler/logs')
    const texts = readdirSync(logs).map((name) => readFileSync(join(logs, name), 'utf8'))
    expect(texts.length).toBeGreaterThan(0)
    expect(texts.filter((text) => text.includes(CATALOG_TOKEN))).toEqual([])
  })
})

describe('a lake in a jurisdiction', () => {
  let here: Awaited<ReturnType<typeof createProject>>

  beforeAll(async () => {
    here = await createProject({ text: SHOP })
    delete here.env['LAKE_CATALOG_TOKEN']
    here.account.buckets.add('cdc-events') // Another bucket, which is not there.
  })

  afterAll(() => here.close())

  it('has its bucket there, its own catalog, and no token', async () => {
    const run = await here.provision('--lake', '--jurisdiction', 'eu')
    const { catalog: _catalog, secret: _secret, ...rest } = NEW
    expect(run).toMatchObject({ code: 0 })
    expect(actions(run)).toEqual(rest)
    expect(here.account.writes).toEqual(['POST /r2/buckets'])
    expect([...here.account.buckets]).toEqual(['cdc-events', 'eu/cdc-events'])
    expect(here.configuration()).toBe(
      SHOP.replace('REGION = "west"\n', 'REGION = "west"\nLAKE_JURISDICTION = "eu"\n') +
        ADDED.replace('bucket_name = "cdc-events"', 'bucket_name = "cdc-events"\njurisdiction = "eu"'),
    )
  })

  it('is kept by another run, and is not taken for one without', async () => {
    const before = here.configuration()
    expect(actions(await here.provision('--lake', '--jurisdiction', 'eu'))).toMatchObject({ bucket: 'keep' })
    const run = await here.provision('--lake')
    expect(run.code).toBe(1)
    expect(run.stdout).toContain('jurisdiction: the configuration has eu, wanted is none')
    expect(here.configuration()).toBe(before)
    expect(here.account.writes).toEqual(['POST /r2/buckets'])
  })
})

describe('a lake whose configuration', () => {
  it('sends to a stream is not begun: what sends is for its owner to change', async () => {
    const here = await createProject()
    const run = await here.provision('--lake')
    expect(run.code).toBe(1)
    expect(run.stdout).toContain(
      'conflict  binding    EVENTS_PIPELINE\n          the configuration binds it to a stream',
    )
    expect(here.account.writes).toEqual([])
    here.close()
  })

  it('names another catalog than the new one is left as it is', async () => {
    const text = SHOP.replace('REGION = "west"', 'LAKE_CATALOG_URI = "https://catalog.example"')
    const here = await createProject({ text })
    const run = await here.provision('--lake')
    expect(run.code).toBe(1)
    expect(actions(run)).toMatchObject({ bucket: 'create', object: 'write' })
    expect(run.stderr).toContain(
      'conflict  variable   LAKE_CATALOG_URI\n' +
        '          LAKE_CATALOG_URI: the configuration has https://catalog.example, wanted is https://catalog.cloudflarestorage',
    )
    expect(here.configuration()).toBe(text)
    here.close()
  })

  it('is JSON with comments is bound there', async () => {
    const text =
      '{\n  // ours\n  "name": "shop",\n  "r2_buckets": [{ "binding": "FILES", "bucket_name": "files" }]\n}\n'
    const here = await createProject({ file: 'wrangler.jsonc', text })
    expect(await here.provision('--lake')).toMatchObject({ code: 0 })
    expect(here.configuration()).toContain('// ours')
    expect(readConfig({ config: join(here.root, 'wrangler.jsonc') })).toMatchObject({
      durable_objects: { bindings: [{ name: 'LAKE_TABLE', class_name: 'LakeTable' }] },
      migrations: [{ tag: 'durable-outbox-lake', new_sqlite_classes: ['LakeTable'] }],
      r2_buckets: [{ binding: 'FILES' }, { binding: 'LAKE_BUCKET', bucket_name: 'cdc-events' }],
      services: [{ binding: 'EVENTS_PIPELINE', service: 'shop', entrypoint: 'Lake' }],
      vars: { LAKE_CATALOG_URI: `https://catalog.cloudflarestorage.com/${ACCOUNT}/cdc-events` },
    })
    expect(actions(await here.provision('--lake'))).toEqual(KEPT)
    here.close()
  })

  it('cannot be added to has the rest shown, for its owner to add', async () => {
    const text = 'name = "shop"\nvars = { REGION = "west" }\nmigrations = []\n'
    const here = await createProject({ text })
    const run = await here.provision('--lake')
    expect(run).toMatchObject({ code: 0 })
    expect(run.stderr).toContain(`add this to wrangler.toml by hand:
[[migrations]]
tag = "durable-outbox-lake"
new_sqlite_classes = [ "LakeTable" ]

[vars]
LAKE_CATALOG_URI = "https://catalog.cloudflarestorage.com/${ACCOUNT}/cdc-events"
LAKE_CATALOG_WAREHOUSE = "${ACCOUNT}_cdc-events"
the Worker's main module`)
    expect(here.configuration().startsWith(text)).toBe(true)
    expect(here.configuration()).toContain('[[services]]')
    here.close()
  })
})

describe('the options of a lake', () => {
  it.each([
    { args: ['--jurisdiction', 'eu'], error: '--jurisdiction needs --lake' },
    { args: ['--lake', '--jurisdiction', 'mars'], error: '--jurisdiction mars is none of: eu, fedramp' },
    { args: ['--lake', '--sink', 's', '--suffix', '_v2'], error: '--lake takes no --suffix, no --sink: it has no' },
    {
      args: ['--lake', '--jurisdiction', 'eu', '--table', 't'],
      error: "in a jurisdiction the lake's table is cdc.events",
    },
  ])('are refused if they are $args', async ({ args, error }) => {
    const here = await createProject({ text: SHOP })
    const run = await here.provision(...args)
    expect(run).toMatchObject({ code: 2, stdout: '' })
    expect(run.stderr).toContain(error)
    here.close()
  })
})
