// An Iceberg REST catalog that outlives the runtime, and the network before it: answers are lost, late, or refusals, and others
// compact the table. It is the strict stand-in of the tests.

import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import * as z from 'zod'
import { StandIn } from '../../test/lake/rest/stand-in.ts'
import { openBucket } from '../harness/bucket.ts'
import { between, choose, createRandom, type Random } from '../harness/random.ts'

/** What may happen to a commit, with weights. */
const FATES = {
  applied: 60,
  'applied, and the answer lost': 8,
  'applied, and answered by 500': 6,
  'applied, and answered after a while': 6,
  'lost before it arrived': 6,
  'answered by 409': 5,
  'answered by 429': 4,
  'answered by 502': 4,
  'overtaken by a compaction of others': 3,
} as const

/** The share of other requests that are answered by 503. */
const UNAVAILABLE = 0.05
const LATE_MS_MAX = 1_500
const addressShape = z.object({ port: z.int() })

export interface ChaosCatalog {
  /** The variables by which the lake finds it. */
  readonly vars: Readonly<Record<string, string>>
  readonly faults: Readonly<Record<string, number>>
  /** Where the table's metadata is in the bucket; undefined if there is no table. */
  metadataKey(): string | undefined
  stop(): Promise<void>
}

/** @param state the state directory of the runtime, in whose bucket the table is. */
export async function startCatalog(state: string, seed: number): Promise<ChaosCatalog> {
  const { bucket, close } = await openBucket(state)
  const catalog = new StandIn(bucket)
  const random = createRandom(seed, 'catalog')
  const faults: Record<string, number> = {}
  const count = (fault: string) => (faults[fault] = (faults[fault] ?? 0) + 1)
  let last: Promise<unknown> = Promise.resolve()
  // The stand-in looks at one request after the other.
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const turn = last.then(work)
    last = turn.catch(() => undefined)
    return turn
  }
  const server = createServer((request, response) => {
    void meet({ catalog, random, count, inTurn }, request, response).catch(() => response.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = addressShape.parse(server.address())
  return {
    vars: {
      LAKE_CATALOG_URI: `http://127.0.0.1:${port}/iceberg`,
      LAKE_CATALOG_TOKEN: catalog.token,
      LAKE_CATALOG_WAREHOUSE: catalog.warehouse,
    },
    faults,
    metadataKey: () => (catalog.hasTable ? catalog.key : undefined),
    async stop() {
      server.close()
      server.closeAllConnections()
      await close()
    },
  }
}

interface Surroundings {
  readonly catalog: StandIn
  readonly random: Random
  readonly count: (fault: string) => void
  readonly inTurn: <T>(work: () => Promise<T>) => Promise<T>
}

async function meet(
  { catalog, random, count, inTurn }: Surroundings,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { method = 'GET', url = '/' } = request
  const body = await text(request)
  const { authorization = '' } = request.headers
  const pass = async () => {
    const init = { method, headers: { authorization }, ...(body !== '' && { body }) }
    const answer = await inTurn(() => catalog.binding.fetch(new URL(url, 'http://catalog').href, init))
    return { status: answer.status, body: await answer.text() }
  }
  const send = ({ status, body }: { status: number; body: string }, headers: Record<string, string> = {}) =>
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body)
  const isCommit = method === 'POST' && url.endsWith('/tables/events')
  if (!isCommit) {
    if (random() >= UNAVAILABLE) return void send(await pass())
    count('catalog answered by 503')
    return void send({ status: 503, body: refusal(503, 'ServiceUnavailableException') })
  }
  const fate = choose(random, FATES)
  if (fate !== 'applied') count(`commit ${fate}`)
  switch (fate) {
    case 'applied':
      return void send(await pass())
    case 'applied, and the answer lost':
      await pass()
      return void response.destroy()
    case 'applied, and answered by 500':
      await pass()
      return void send({ status: 500, body: refusal(500, 'CommitStateUnknownException') })
    case 'applied, and answered after a while': {
      const answer = await pass()
      await pause(between(random, 100, LATE_MS_MAX))
      return void send(answer)
    }
    case 'lost before it arrived':
      return void response.destroy()
    case 'answered by 409':
      return void send({ status: 409, body: refusal(409, 'CommitFailedException') })
    case 'answered by 429':
      return void send({ status: 429, body: refusal(429, 'TooManyRequestsException') }, { 'retry-after': '1' })
    case 'answered by 502':
      return void send({ status: 502, body: '<html>bad gateway' })
    case 'overtaken by a compaction of others':
      await inTurn(() => catalog.compact())
      return void send(await pass())
  }
}

function refusal(code: number, type: string): string {
  return JSON.stringify({ error: { message: 'on purpose', type, code } })
}
