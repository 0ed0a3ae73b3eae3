// The first document's "Managed Pipeline", as it is printed there; only the import path and the endpoint are ours.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { ManagedPipeline } from 'durable-outbox/managed-pipeline'
import { expect, it } from 'vitest'
import { record } from '../testing/record.ts'

it('sends the events of the snippet of the first document', async () => {
  const bodies: string[] = []
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      bodies.push(body)
      response.end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const local = `http://127.0.0.1:${(server.address() as AddressInfo).port}/ingest`
  const oauthToken = 'token'
  const [event1, event2, event3] = [1, 2, 3].map((lsn) => record('startups.studio', lsn))
  if (event1 === undefined || event2 === undefined || event3 === undefined) throw new Error('there are three')

  const pipeline = new ManagedPipeline({
    endpoint: local,
    authToken: oauthToken, // From oauth.do
    namespace: 'startups.studio',
  })

  await pipeline.send([event1, event2, event3])

  expect(bodies.map((body) => JSON.parse(body))).toEqual([[event1, event2, event3]])
  server.close()
})
