// The command reads a table that is in a catalog: a server plays the catalog, and the table is the last of its lake.

import { createServer, type Server } from 'node:http'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { TableMetadata } from '../../src/lake/iceberg/metadata.ts'
import { committed, FIRST_EPOCH, landedTable, NOW_MS } from '../streams/landed.ts'
import { runIn } from './lake-fixture.ts'

let server: Server
let url: string
/** What the catalog has; undefined if there is no table. */
let metadata: object | undefined
let tokens: (string | undefined)[] = []

beforeAll(async () => {
  server = createServer((request, response) => {
    response.setHeader('content-type', 'application/json')
    tokens.push(request.headers.authorization)
    if (request.url === '/v1/config?warehouse=w') return response.end('{"defaults":{},"overrides":{"prefix":"p"}}')
    if (request.url !== '/v1/p/namespaces/cdc/tables/events' || metadata === undefined) {
      response.statusCode = 404
      return response.end('{"error":{"message":"no","type":"NoSuchTableException","code":404}}')
    }
    return response.end(JSON.stringify({ 'metadata-location': 's3://lake/x.metadata.json', metadata }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
})

afterAll(() => server.close())

afterEach(() => {
  metadata = undefined
  tokens = []
})

async function onTable(look: (root: string, current: TableMetadata) => Promise<void>): Promise<void> {
  const table = await landedTable([1, 2, 3].map((lsn) => committed(lsn, {}, { atMs: NOW_MS + lsn })))
  try {
    await look(table.root, table.lake.current().table.metadata)
  } finally {
    await table.remove()
  }
}

function environment() {
  return { LAKE_CATALOG_URI: url, LAKE_CATALOG_WAREHOUSE: 'w', LAKE_CATALOG_TOKEN: 't' }
}

describe('a table in a catalog', () => {
  it('[I10] is proven by verify, also if others were the last to commit', async () => {
    await onTable(async (root, current) => {
      const properties = { 'cdc.watermarks': JSON.stringify({ 'acme/DO/Shop': { [FIRST_EPOCH]: 3 } }) }
      metadata = { ...current, properties, 'last-sequence-number': 9 }
      const { stdout } = await runIn(root, ['verify', '--json'], { env: environment() })
      expect(JSON.parse(stdout)).toMatchObject({ isProven: true, version: 9, events: 3, missing: 0 })
      expect(new Set(tokens)).toEqual(new Set(['Bearer t']))
    })
  })

  it('[I10] is not proven if its watermarks promise more than it has', async () => {
    await onTable(async (root, current) => {
      const properties = { 'cdc.watermarks': JSON.stringify({ 'acme/DO/Shop': { [FIRST_EPOCH]: 5 } }) }
      metadata = { ...current, properties }
      const { code, stdout } = await runIn(root, ['verify'], { env: environment() })
      expect({ code, stdout }).toMatchObject({
        code: 1,
        stdout: expect.stringContaining('claims to hold everything up to LSN 5'),
      })
    })
  })

  it('is queried as the catalog has it, and not as the bucket has it', async () => {
    await onTable(async (root) => {
      const { stdout } = await runIn(root, ['query', 'SELECT count(*) AS n FROM events', '--json'], {
        env: environment(),
      })
      expect(JSON.parse(stdout)).toMatchObject([{ n: 0 }])
    })
  })

  it('is not read from elsewhere if the catalog does not answer', async () => {
    await onTable(async (root) => {
      const env = { ...environment(), LAKE_CATALOG_WAREHOUSE: 'another' }
      const { code, stderr } = await runIn(root, ['verify'], { env })
      expect({ code, stderr }).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('did not give its configuration (404)'),
      })
    })
  })
})
