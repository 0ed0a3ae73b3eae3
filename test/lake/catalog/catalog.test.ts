import { env } from 'cloudflare:workers'
import { catalogRoutes } from 'durable-outbox/lake'
import { IcebergError, IcebergRestCatalog } from 'iceberg-js'
import { beforeAll, describe, expect, it } from 'vitest'
import { batch, commit, metadata, table } from '../table.ts'

const TOKEN = 'a token of the test'
const LOCATION = 's3://lake/cdc/events'
const EVENTS = '/v1/namespaces/cdc/tables/events'

const app = catalogRoutes<typeof env>((bindings) => bindings.LAKE)

interface Init {
  method?: string
  headers?: Record<string, string>
}

interface Answer {
  status: number
  body: unknown
  headers: Headers
}

/** Asks as a client does that knows the token. */
async function ask(path: string, init: Init = {}, bindings: object = {}): Promise<Answer> {
  const headers = { authorization: `Bearer ${TOKEN}`, ...init.headers }
  const response = await app.request(path, { ...init, headers }, { ...env, CATALOG_TOKEN: TOKEN, ...bindings })
  const text = await response.text()
  return { status: response.status, body: text === '' ? undefined : JSON.parse(text), headers: response.headers }
}

function refusal(code: number, type: string, message: string) {
  return { status: code, body: { error: { code, type, message: expect.stringContaining(message) } } }
}

function client(options: { token?: string; accessDelegation?: ['vended-credentials'] } = {}): IcebergRestCatalog {
  const { token = TOKEN, accessDelegation } = options
  return new IcebergRestCatalog({
    baseUrl: 'http://localhost',
    warehouse: 'lake',
    auth: { type: 'bearer', token },
    ...(accessDelegation && { accessDelegation }),
    fetch: async (input, init) => app.request(input, init, { ...env, CATALOG_TOKEN: TOKEN }),
  })
}

/** What the catalog answers before the first commit. */
let beforeFirstCommit: { tables: Answer; table: Answer }

beforeAll(async () => {
  beforeFirstCommit = { tables: await ask('/v1/namespaces/cdc/tables'), table: await ask(EVENTS) }
  for (let lsn = 1; lsn <= 3; lsn += 1) {
    await env.LAKE.send(batch('catalog', lsn, lsn))
    await commit()
  }
})

it('answers nothing about a table that is in another catalog, and names that', async () => {
  const LAKE_CATALOG_URI = 'https://catalog.test'
  expect(await ask(EVENTS, {}, { LAKE_CATALOG_URI })).toMatchObject(refusal(404, 'NotFoundException', LAKE_CATALOG_URI))
})

describe('the token', () => {
  it.each([{ CATALOG_TOKEN: undefined }, { CATALOG_TOKEN: '' }, { CATALOG_TOKEN: ' \n' }, { CATALOG_TOKEN: 1 }])(
    '[I8] closes everything while it is not configured: %o',
    async (bindings) => {
      for (const authorization of ['', 'Bearer ', 'Bearer undefined', 'Bearer 1', `Bearer ${TOKEN}`])
        for (const path of ['/v1/config', '/v1/namespaces', EVENTS, '/'])
          expect(await ask(path, { headers: { authorization } }, bindings)).toMatchObject(
            refusal(403, 'ForbiddenException', 'CATALOG_TOKEN is not set'),
          )
    },
  )

  it.each(['', 'Bearer', `Bearer ${TOKEN}x`, `Basic ${TOKEN}`, TOKEN])(
    '[I8] refuses the authorization %o',
    async (authorization) => {
      for (const [path, method] of [
        [EVENTS, 'GET'],
        ['/v1/config', 'GET'],
        [`${EVENTS}/metrics`, 'POST'],
      ] as const) {
        const answer = await ask(path, { method, headers: { authorization } })
        expect(answer).toMatchObject(refusal(401, 'NotAuthorizedException', 'catalog: '))
        expect(answer.headers.get('www-authenticate')).toBe('Bearer')
      }
    },
  )

  it('admits a client that knows it, even if it was set with a line break', async () => {
    expect(await ask('/v1/config', {}, { CATALOG_TOKEN: `${TOKEN}\n` })).toMatchObject({ status: 200 })
  })
})

describe('the config', () => {
  it('names routes that exist, and accepts any warehouse', async () => {
    const { status, body } = await ask('/v1/config?warehouse=lake')
    expect(status).toBe(200)
    const { endpoints } = body as { endpoints: string[] }
    expect(endpoints).toHaveLength(7)
    for (const endpoint of endpoints) {
      const [method = '', path = ''] = endpoint.replace('{namespace}', 'cdc').replace('{table}', 'events').split(' ')
      for (const prefixed of [path.replace('{prefix}/', ''), path.replace('{prefix}', 'lake')])
        expect([200, 204]).toContain((await ask(prefixed, { method })).status)
    }
  })
})

describe('namespaces', () => {
  it('lists the only one, and none below it', async () => {
    const all = { status: 200, body: { namespaces: [['cdc']], 'next-page-token': null } }
    expect(await ask('/v1/namespaces')).toMatchObject(all)
    expect(await ask('/v1/namespaces?parent=&pageToken=&pageSize=1')).toMatchObject(all)
    expect((await ask('/v1/namespaces?parent=cdc')).body).toEqual({ namespaces: [], 'next-page-token': null })
    expect((await ask('/v1/namespaces/cdc')).body).toEqual({ namespace: ['cdc'], properties: {} })
    expect(await ask('/v1/namespaces/cdc', { method: 'HEAD' })).toMatchObject({ status: 204, body: undefined })
  })

  it.each(['/v1/namespaces?parent=other', '/v1/namespaces/other', '/v1/namespaces/other/tables', '/v1/namespaces/CDC'])(
    'does not know that of %s',
    async (path) => {
      expect(await ask(path)).toMatchObject(refusal(404, 'NoSuchNamespaceException', 'only cdc'))
    },
  )

  it('writes the levels of an unknown name with dots', async () => {
    expect(await ask('/v1/namespaces/cdc%1Fevents')).toMatchObject(
      refusal(404, 'NoSuchNamespaceException', 'cdc.events'),
    )
    expect((await ask('/v1/namespaces/other', { method: 'HEAD' })).status).toBe(404)
  })
})

describe('the table', () => {
  it('does not exist before its first commit', () => {
    expect(beforeFirstCommit.tables).toMatchObject({ status: 200, body: { identifiers: [] } })
    expect(beforeFirstCommit.table).toMatchObject(refusal(404, 'NoSuchTableException', 'before its first commit'))
  })

  it('is listed, and exists', async () => {
    const identifiers = [{ namespace: ['cdc'], name: 'events' }]
    expect((await ask('/v1/namespaces/cdc/tables')).body).toEqual({ identifiers, 'next-page-token': null })
    expect(await ask(EVENTS, { method: 'HEAD' })).toMatchObject({ status: 204, body: undefined })
  })

  it.each([
    ['cdc/tables/other', 'cdc.other'],
    ['other/tables/events', 'other.events'],
    // After this refusal, engines make the table's metadata tables themselves.
    ['cdc%1Fevents/tables/snapshots', 'cdc.events.snapshots'],
  ])('is the only one, and not %s', async (path, name) => {
    const answer = await ask(`/v1/namespaces/${path}`)
    expect(answer).toMatchObject(refusal(404, 'NoSuchTableException', `no table ${name},`))
  })

  it('is loaded as its last commit has it, even if the hint in the bucket is wrong', async () => {
    await env.LAKE_BUCKET.put('cdc/events/metadata/version-hint.text', '1')
    const { version } = await table.status()
    const { status, body } = await ask(EVENTS)
    expect(status).toBe(200)
    expect(body).toEqual({
      'metadata-location': `${LOCATION}/metadata/v${version}.metadata.json`,
      metadata: await metadata(),
      config: {},
    })
  })

  it('is loaded with all snapshots, or only with those that a branch names', async () => {
    const { snapshots, 'current-snapshot-id': current } = await metadata()
    const all = (await ask(`${EVENTS}?snapshots=all`)).body as { metadata: { snapshots: unknown[] } }
    expect(all.metadata.snapshots).toHaveLength(snapshots.length)
    const refs = (await ask(`${EVENTS}?snapshots=refs`)).body as { metadata: { snapshots: unknown[] } }
    expect(refs.metadata.snapshots).toEqual([snapshots.find((snapshot) => snapshot['snapshot-id'] === current)])
    expect(await ask(`${EVENTS}?snapshots=none`)).toMatchObject(refusal(400, 'BadRequestException', '"none"'))
  })

  it('is not sent again to a client that has it, until the next commit', async () => {
    const etag = (await ask(EVENTS)).headers.get('etag') ?? ''
    const again = (path = EVENTS) => ask(path, { headers: { 'if-none-match': etag } })
    expect(await again()).toMatchObject({ status: 304, body: undefined })
    expect((await again(`${EVENTS}?snapshots=refs`)).status).toBe(200)
    await env.LAKE.send(batch('etag', 1, 1))
    await commit()
    expect((await again()).status).toBe(200)
  })

  it('[I8] comes with the key to its files only for a client that asks for it', async () => {
    const headers = { 'x-iceberg-access-delegation': 'vended-credentials,remote-signing' }
    const { body } = await ask(`http://lake.example:8787${EVENTS}`, { headers })
    const config = {
      's3.endpoint': 'http://lake.example:8787',
      's3.path-style-access': 'true',
      's3.region': 'auto',
      'client.region': 'auto',
      's3.access-key-id': 'catalog',
      's3.secret-access-key': TOKEN,
    }
    expect(body).toMatchObject({ config, 'storage-credentials': [{ prefix: LOCATION, config }] })
    expect(JSON.stringify((await ask(EVENTS)).body)).not.toContain(TOKEN)
  })

  it('reports only in the log that its metadata file is gone', async () => {
    const answer = await ask(EVENTS, {}, { LAKE_LOCATION: 's3://lake/elsewhere' })
    expect(answer).toMatchObject(refusal(500, 'InternalServerError', "see the Worker's log"))
    expect(JSON.stringify(answer.body)).not.toContain('elsewhere')
  })
})

describe('a route that does not exist', () => {
  it.each([
    ['POST', '/v1/namespaces'],
    ['DELETE', '/v1/namespaces/cdc'],
    ['POST', '/v1/namespaces/cdc/properties'],
    ['POST', '/v1/namespaces/cdc/tables'],
    ['POST', '/v1/namespaces/cdc/register'],
    ['POST', EVENTS],
    ['DELETE', EVENTS],
    ['POST', '/v1/tables/rename'],
    ['POST', '/v1/transactions/commit'],
    ['POST', '/v1/lake/namespaces/cdc/tables/events'],
  ])('is %s %s, because the catalog is read-only', async (method, path) => {
    expect(await ask(path, { method })).toMatchObject(refusal(406, 'UnsupportedOperationException', 'read-only'))
  })

  it.each(['/', '/v1', '/v1/namespaces/cdc/views', `${EVENTS}/credentials`, '/v2/config'])(
    'is %s, and the answer names the list of routes',
    async (path) => {
      expect(await ask(path)).toMatchObject(refusal(404, 'NotFoundException', 'v1/config'))
    },
  )
})

describe('iceberg-js, a client that is not ours', () => {
  it('finds the table and loads it', async () => {
    const catalog = client({ accessDelegation: ['vended-credentials'] })
    expect(await catalog.listNamespaces()).toMatchObject({ namespaces: [{ namespace: ['cdc'] }] })
    expect(await catalog.listTables({ namespace: ['cdc'] })).toMatchObject({
      identifiers: [{ namespace: ['cdc'], name: 'events' }],
    })
    expect(await catalog.tableExists({ namespace: ['cdc'], name: 'events' })).toBe(true)
    expect(await catalog.tableExists({ namespace: ['cdc'], name: 'other' })).toBe(false)
    expect(await catalog.loadTable({ namespace: ['cdc'], name: 'events' })).toMatchObject(await metadata())
  })

  it('understands the refusals', async () => {
    await expect(client({ token: 'wrong' }).listNamespaces()).rejects.toMatchObject({ status: 401 })
    const dropped = client().dropTable({ namespace: ['cdc'], name: 'events' })
    await expect(dropped).rejects.toThrow(IcebergError)
    await expect(dropped).rejects.toMatchObject({ status: 406, icebergType: 'UnsupportedOperationException' })
  })
})
