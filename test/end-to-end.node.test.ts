// The whole path on one machine: a request to the Worker in real workerd, and SQL over what has landed.

import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { Client } from '../proofs/demo/client.ts'
import { runCommand } from '../proofs/harness/command.ts'
import { Runtime } from '../proofs/harness/runtime.ts'

const root = join(import.meta.dirname, '..')
const directory = mkdtempSync(join(tmpdir(), 'durable-outbox-'))
const state = join(directory, 'state')
let worker: Runtime

async function query(sql: string): Promise<Record<string, unknown>[]> {
  const { code, stdout, stderr } = await runCommand(['query', sql, '--json', '--state', state])
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' })
  return JSON.parse(stdout) as Record<string, unknown>[]
}

function seedQuery(name: string): string {
  return readFileSync(join(root, 'streams/queries', `${name}.sql`), 'utf8')
}

function landed(client: Client, events: number): Promise<void> {
  return vi.waitFor(async () => expect((await client.lakeStatus()).landedEvents).toBe(events), {
    timeout: 30_000,
    interval: 50,
  })
}

beforeAll(async () => {
  worker = await Runtime.start({ state })
})

afterAll(async () => {
  await worker.kill()
  rmSync(directory, { recursive: true, force: true })
})

describe('a sign-up', () => {
  it('[I1] [I3] [I5] lands as its change and its event, through a kill -9 right after the answer', async () => {
    const client = new Client(worker.url)
    await client.signUp('startups.studio', 'Alice', 'alice@example.com')
    await worker.kill()
    await worker.start()
    await landed(client, 2)
    expect(await query('SELECT ns, source, type, table_url, lsn FROM events ORDER BY lsn')).toEqual([
      {
        ns: 'startups.studio',
        source: 'startups.studio/DO/Customers',
        type: 'cdc.insert',
        table_url: 'startups.studio/Customer',
        lsn: 1,
      },
      {
        ns: 'startups.studio',
        source: 'startups.studio/DO/Customers',
        type: 'Customer.created',
        table_url: null,
        lsn: 2,
      },
    ])
  })

  it("is found by the first document's queries, in their portable form", async () => {
    expect(await query(seedQuery('customers-created-today'))).toMatchObject([{ type: 'Customer.created' }])
    expect(await query(seedQuery('events-by-type-and-hour'))).toMatchObject([{ count: 1 }, { count: 1 }])
    expect(await query(seedQuery('changes-by-actor'))).toMatchObject([{ op: 'c', actor: 'User/nathan' }])
  })
})

describe('wrangler.toml', () => {
  it('runs the lake in production', async () => {
    const { stdout, bundle } = await deployDry('production')
    expect(stdout).toMatch(/env\.EVENTS_PIPELINE \(durable-outbox-production#Lake\) +Worker/)
    expect(stdout).toMatch(/env\.LAKE_TABLE \(LakeTable\)/)
    expect(stdout).toMatch(/env\.LAKE_BUCKET \(cdc-events\)/)
    expect(bundle).toContain('_cdc_outbox')
    expect(bundle).toMatch(/LakeTable/)
  })

  it('binds a stream in place of the lake for Basin Pipelines, and leaves the lake out of the bundle', async () => {
    const { stdout, bundle } = await deployDry('pipelines')
    expect(stdout).toMatch(/env\.EVENTS_PIPELINE .*Pipeline/)
    expect(stdout).not.toMatch(/LAKE/)
    expect(bundle).toContain('_cdc_outbox')
    expect(bundle).not.toMatch(/LakeTable|parquet|iceberg/i)
  })
})

async function deployDry(environment: string): Promise<{ stdout: string; bundle: string }> {
  const out = join(directory, environment)
  const wrangler = join(root, 'node_modules/.bin/wrangler')
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [wrangler, 'deploy', '--dry-run', '--env', environment, '--outdir', out],
    { cwd: root, env: { ...process.env, WRANGLER_SEND_METRICS: 'false' } },
  )
  const main = readdirSync(out).find((name) => name.endsWith('.js')) ?? ''
  return { stdout, bundle: readFileSync(join(out, main), 'utf8') }
}

describe('the documentation', () => {
  it.each([
    ['README.md', 'examples/customers.ts'],
    ['docs/stores.md', 'examples/project.ts'],
  ])('in %s contains %s, which runs', (document, example) => {
    expect(readFileSync(join(root, document), 'utf8')).toContain(readFileSync(join(root, example), 'utf8'))
  })
})
