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

  it.each([
    ['through a tunnel', { host: 'someone.example' }],
    ['through a tunnel that changes the host', { 'cf-connecting-ip': '203.0.113.7' }],
    ['from a page whose name leads here', { host: 'localhost.attacker.example:8787' }],
  ])('[I8] refuses a request that comes %s', async (_, headers) => {
    for (const path of PATHS)
      expect(await ask(open, path, headers)).toMatchObject({
        status: 403,
        body: expect.stringContaining('CATALOG_TOKEN is not set'),
      })
  })

  it.each([
    'Forwarded',
    'Via',
    'X-Forwarded-For',
    'X-Forwarded-Host',
    'X-Forwarded-Proto',
    'X-Forwarded-Whatever',
    'X-Real-IP',
    'X-Client-IP',
    'X-Cluster-Client-IP',
    'True-Client-IP',
    'Fastly-Client-IP',
    'CF-Connecting-IPv6',
    'CF-IPCountry',
    'CF-Ray',
    'CDN-Loop',
    'X-Original-Host',
    'X-Envoy-External-Address',
    'Tailscale-User-Login',
  ])(
    '[I8] refuses a request with the host of this machine that a proxy has passed on, by its header %s',
    async (name) => {
      const headers = { host: `localhost:${new URL(open.url).port}`, [name]: '127.0.0.1' }
      for (const path of PATHS) expect(await ask(open, path, headers)).toMatchObject({ status: 403 })
      expect((await ask(open, '/lake', headers)).status).toBe(403)
    },
  )

  it('[I8] shows how the lake is to this machine alone without a token', async () => {
    expect((await ask(open, '/lake')).status).toBe(200)
    expect((await ask(open, '/lake', { host: 'someone.example' })).status).toBe(403)
  })

  it('admits the headers that engines and browsers send themselves', async () => {
    const headers = {
      'accept-encoding': 'gzip',
      'amz-sdk-request': 'attempt=1',
      'x-amz-content-sha256': 'UNSIGNED-PAYLOAD',
      'x-client-version': 'Apache Iceberg 1.9',
      'x-iceberg-access-delegation': 'vended-credentials',
      range: 'bytes=0-9',
    }
    expect((await ask(open, PATHS[0] ?? '', headers)).status).toBe(200)
  })

  it('[I8] requires the token from every client once it is set', async () => {
    for (const authorization of ['', 'Bearer local', 'Bearer undefined'])
      for (const path of PATHS)
        expect((await ask(closed, path, { authorization })).status).toBe(path === PATHS[0] ? 401 : 403)
    expect(await namespaces(closed, TOKEN)).toMatchObject({ namespaces: [{ namespace: ['cdc'] }] })
  })
})
