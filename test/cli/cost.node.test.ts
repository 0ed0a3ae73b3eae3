// The estimate against what the bench counts, and the command against a server with scripted answers.

import { createServer, type Server } from 'node:http'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runCommand } from '../../proofs/harness/command.ts'
import { estimateCost, type LoggedEvent } from '../../src/cli/cost/estimate.ts'

const BATCHING = { lingerMs: 100, maxBatchEvents: 1_000 }

/** Transactions of some events each, so many milliseconds apart. */
function log(transactions: number, eventsEach: number, apartMs: number, isCaptured = false): LoggedEvent[] {
  return Array.from({ length: transactions * eventsEach }, (_, index) => {
    const transaction = Math.floor(index / eventsEach)
    return { txid: `tx-${transaction}`, timeMs: transaction * apartMs, isCaptured }
  })
}

describe('the estimate of a cost', () => {
  it.each([
    { load: 'one event a transaction, a hundred a batch', events: log(100, 1, 1), rowsPerEvent: 1.06 },
    { load: 'ten events a transaction, a hundred a batch', events: log(100, 10, 1), rowsPerEvent: 0.106 },
    { load: 'one event that leaves alone', events: log(10, 1, 1_000), rowsPerEvent: 6.01 },
    { load: 'a hundred captured rows a transaction', events: log(10, 100, 1, true), rowsPerEvent: 1.025 },
  ])('is what the bench counts for $load', ({ events, rowsPerEvent }) => {
    expect(estimateCost(events, BATCHING).rowsPerEvent).toBeCloseTo(rowsPerEvent, 2)
  })

  it('counts a batch more if one is full', () => {
    expect(estimateCost(log(1_001, 1, 0), BATCHING).batches).toBe(2)
  })
})

describe('durable-outbox cost', () => {
  const asked: { path: string; argument: unknown }[] = []
  let server: Server
  let url: string

  beforeAll(async () => {
    server = createServer((request, response) => {
      void text(request).then((body) => {
        const path = request.url ?? ''
        asked.push({ path, argument: body === '' ? undefined : JSON.parse(body) })
        const items = [1, 2].map((lsn) => ({
          txid: `tx-${lsn}`,
          timestamp: new Date(lsn * 3_600_000).toISOString(),
          table: 'orders',
        }))
        response.end(JSON.stringify(path.endsWith('/stats') ? { lastLSN: 12_000, captured: {} } : { items }))
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
  })

  afterAll(() => server.close())

  it('looks at the newest events, and reckons with a month', async () => {
    const { code, stdout } = await runCommand(['cost', 'customers/acme', '--url', url])
    expect(code).toBe(0)
    expect(stdout).toBe(
      'customers/acme: 2 events in 2 transactions, which left in about 2 batches\n' +
        'about 13 rows written beside your own: 6.01 an event, $6.01 per million events\n' +
        'at this rate: 1440 events and 9360 rows a month, $0.01 beyond the 50 million rows that the plan includes\n',
    )
    expect(asked.at(-1)).toEqual({ path: '/admin/outbox/customers/acme/list', argument: { from: 2_001, limit: 1_000 } })
  })

  it('says which object it needs, and what a number is', async () => {
    expect(await runCommand(['cost'])).toMatchObject({ code: 2, stderr: expect.stringContaining('customers/acme') })
    const { code, stderr } = await runCommand(['cost', 'customers/acme', '--linger', 'soon', '--url', url])
    expect(code).toBe(2)
    expect(stderr).toContain('--linger is a whole number above 0, not "soon"')
  })
})
