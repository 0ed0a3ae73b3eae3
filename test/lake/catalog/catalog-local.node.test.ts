// Which requests `npm run dev` admits without a token: those that come from this machine and ask for it. In real workerd, since
// wrangler adds where a request came from.

import { mkdtempSync, rmSync } from 'node:fs'
import { get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { IcebergRestCatalog } from 'iceberg-js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Runtime } from '../../../proofs/harness/runtime.ts'

const TOKEN = 'a-token-of-the-test'
const PATHS = ['/catalog/v1/namespaces', '/lake/cdc/events/metadata/v1.metadata.json']

const directory = mkdtempSync(join(tmpdir(), 'durable-outbox-'))
const workers: Runtime[] = []
let open: Runtime
let closed: Runtime

beforeAll(async () => {
  // Empty, even if .dev.vars sets it here.
  open = await start('open', { CATALOG_TOKEN: '' })
  closed = await start('closed', { CATALOG_TOKEN: TOKEN })
})

afterAll(async () => {
  for (const worker of workers) await worker.kill()
  rmSync(directory, { recursive: true, force: true })
})

async function start(name: string, vars: Record<string, string>): Promise<Runtime> {
  const worker = await Runtime.start({ state: join(directory, name), vars })
  workers.push(worker)
  return worker
}

/** Asks with any header, even `Host`, which `fetch` does not let one choose. */
function ask(worker: Runtime, path: string, headers: Record<string, string> = {}) {
  return new Promise<{ status: number | undefined; body: string }>((resolve, reject) => {
    get(worker.url + path, { headers }, (answer) => {
      text(answer).then((body) => resolve({ status: answer.statusCode, body }), reject)
    }).once('error', reject)
  })
}

function namespaces(worker: Runtime, token?: string) {
  const auth = token === undefined ? undefined : ({ type: 'bearer', token } as const)
  return new IcebergRestCatalog({ baseUrl: `${worker.url}/catalog`, ...(auth && { auth }) }).listNamespaces()
}

describe('npm run dev', () => {
  it('admits requests from this machine while no token is set', async () => {
    expect(await namespaces(open)).toMatchObject({ namespaces: [{ namespace: ['cdc'] }] })
    expect(await ask(open, PATHS[1] ?? '')).toMatchObject({ status: 404, body: expect.stringContaining('NoSuchKey') })
  })

  it.each<[string, Record<string, string>]>([
    ['through a tunnel', { host: 'someone.example' }],
    ['through a tunnel that changes the host', { 'cf-connecting-ip': '203.0.113.7' }],
    ...['forwarded', 'via', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip', 'x-client-ip', 'true-client-ip'].map(
      (name): [string, Record<string, string>] => [`through a proxy that adds ${name}`, { [name]: '203.0.113.7' }],
    ),
    ['from a page whose name leads here', { host: 'localhost.attacker.example:8787' }],
  ])('[I8] refuses a request that comes %s', async (_, headers) => {
    for (const path of PATHS)
      expect(await ask(open, path, headers)).toMatchObject({
        status: 403,
        body: expect.stringContaining('CATALOG_TOKEN is not set'),
      })
  })

  it('[I8] requires the token from every client once it is set', async () => {
    for (const authorization of ['', 'Bearer local', 'Bearer undefined'])
      for (const path of PATHS)
        expect((await ask(closed, path, { authorization })).status).toBe(path === PATHS[0] ? 401 : 403)
    expect(await namespaces(closed, TOKEN)).toMatchObject({ namespaces: [{ namespace: ['cdc'] }] })
  })
})
