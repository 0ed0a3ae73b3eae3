// A project whose environments have a lake each, as `wrangler dev --env staging` fills it.

import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { committed } from '../streams/landed.ts'
import { createProject, openLake, runIn } from './lake-fixture.ts'

const TOML = `name = "shop"
compatibility_date = "2026-08-01"
dev = { port = 65530 }

[[r2_buckets]]
binding = "LAKE_BUCKET"
bucket_name = "lake"

[[env.staging.r2_buckets]]
binding = "LAKE_BUCKET"
bucket_name = "durable-outbox-lake"

[env.bare.vars]
NOTHING = "else"
`

const JSONC = `{
  // The same.
  "name": "shop",
  "compatibility_date": "2026-08-01",
  "dev": { "port": 65530 },
  "r2_buckets": [{ "binding": "LAKE_BUCKET", "bucket_name": "lake" }],
  "env": {
    "staging": { "r2_buckets": [{ "binding": "LAKE_BUCKET", "bucket_name": "durable-outbox-lake" }] },
    "bare": { "vars": { "NOTHING": "else" } },
  },
}
`

describe.each([
  ['wrangler.toml', TOML],
  ['wrangler.jsonc', JSONC],
])('the environments of a %s', (name, text) => {
  let project: Awaited<ReturnType<typeof createProject>>

  beforeAll(async () => {
    project = await createProject()
    await rm(join(project.root, 'wrangler.toml'))
    await writeFile(join(project.root, name), text)
    const lake = await openLake(project.root)
    await lake.append([committed(1, { op: 'c', store: 'document', table_url: 'acme/Customer', key: '1', after: '{}' })])
  })

  afterAll(() => project.remove())

  it.each([
    { args: ['query', 'SELECT lsn FROM events', '--csv'], stdout: 'lsn\r\n1\r\n' },
    { args: ['state', 'document/Customer', '--csv'], stdout: expect.stringContaining('acme,1,{}') },
    { args: ['verify'], stdout: expect.stringContaining('proven: 1 log, 1 event') },
    {
      args: ['reconcile', '--dry-run', '--url', 'http://127.0.0.1:9'],
      code: 1,
      stderr: expect.stringContaining('http://127.0.0.1:9'),
    },
  ])('are chosen by --env of $args.0, or by CLOUDFLARE_ENV', async ({ args, code = 0, ...output }) => {
    expect(await runIn(project.root, [...args, '--env', 'staging'])).toMatchObject({ code, ...output })
    const env = { CLOUDFLARE_ENV: 'staging' }
    expect(await runIn(project.root, args, { env })).toMatchObject({ code, ...output })
  })

  it('leave the top level to a command without a name, or with an empty one, and are named in its note', async () => {
    const top = {
      code: 0,
      stdout: '[]\n',
      stderr:
        'no table yet in .wrangler/state; start wrangler dev and commit an event first, or look into another ' +
        'environment with --env staging\n',
    }
    const args = ['query', 'SELECT lsn FROM events', '--json']
    expect(await runIn(project.root, args)).toEqual(top)
    const env = { CLOUDFLARE_ENV: 'staging' }
    expect(await runIn(project.root, [...args, '--env', ''], { env })).toEqual(top)
  })

  it.each([
    { args: ['query', 'SELECT 1'] },
    { args: ['state', 'document/Customer'] },
    { args: ['verify'] },
    { args: ['reconcile', '--url', 'http://127.0.0.1:9'] },
    { args: ['outbox', 'customers/acme', 'stats'] },
    { args: ['provision', '--dry-run'] },
  ])('are listed by $args.0 if there is none of that name', async ({ args }) => {
    expect(await runIn(project.root, [...args, '--env', 'stagin'])).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining('the configuration has no environment stagin; it has: staging, bare'),
    })
  })

  it('share the address at which wrangler dev listens', async () => {
    const run = await runIn(project.root, ['outbox', 'customers/acme', 'stats', '--env', 'staging'])
    expect(run).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('http://localhost:65530 refuses connections'),
    })
  })

  it('are listed if the one that was named has no lake', async () => {
    const { code, stderr } = await runIn(project.root, ['verify', '--env', 'bare'])
    expect(code).toBe(1)
    expect(stderr).toContain(`${name} under env.bare binds no R2 bucket as LAKE_BUCKET`)
    expect(stderr).toContain('these environments bind one: staging (--env)')
  })
})
