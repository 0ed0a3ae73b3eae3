// Random sends to a lake whose number of shards changes between them, against what must be in the table.

import { env } from 'cloudflare:workers'
import type { EventRecord } from 'durable-outbox'
import * as fc from 'fast-check'
import { beforeAll, expect, it } from 'vitest'
import { HOLD_MS, lakeAlarms, lakeClock } from '../../worker.ts'
import { commit, record, rowsOf, table, unlogged } from '../table.ts'
import { deploy, handOver, killAll, landAll, reshard } from './sharded.ts'

const LOGS = 5

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('send' as const),
      log: fc.nat({ max: LOGS - 1 }),
      first: fc.integer({ min: 1, max: 12 }),
      length: fc.integer({ min: 1, max: 5 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('mix' as const), first: fc.integer({ min: 1, max: 12 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('fork' as const),
      log: fc.nat({ max: LOGS - 1 }),
      lsn: fc.integer({ min: 1, max: 12 }),
      other: fc.integer({ min: 1, max: 2 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('free' as const), n: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('hand over' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('commit' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('kill' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('reshard' as const), shards: fc.nat({ max: 4 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('deploy' as const), shards: fc.nat({ max: 4 }) }) },
)

type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never

let runs = 0

/** What must be in the table: for each log the ids under each LSN, and the ids of events without a log. */
class Model {
  readonly run = (runs += 1)
  readonly places = new Set<string>()

  source(log: number): string {
    return `r${this.run}-${log}`
  }

  id(log: number, lsn: number, other = 0): string {
    return record(this.source(log), lsn).id.slice(0, 20) + `${other}${log}${String(lsn).padStart(4, '0')}`
  }

  record(log: number, lsn: number, other = 0): EventRecord {
    return record(this.source(log), lsn, { id: this.id(log, lsn, other) })
  }

  free(n: number): EventRecord {
    const id = `01BRZ3NDEKTSV4RRFF${String(this.run).padStart(6, '0')}0${n}`
    return { ...unlogged('free', n), source: `r${this.run}-free`, id }
  }

  /** Sends records, again until they are accepted, as a relay does. */
  async send(records: EventRecord[]): Promise<void> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        await env.LAKE.send(records)
        break
      } catch (error) {
        if (attempt > 10) throw error
        await landAll()
      }
    }
    for (const { source, lsn, id } of records) this.places.add(`${source} ${lsn ?? '-'} ${id}`)
  }
}

async function take(model: Model, each: Step): Promise<void> {
  switch (each.do) {
    case 'send':
      return model.send(Array.from({ length: each.length }, (_, index) => model.record(each.log, each.first + index)))
    case 'mix':
      return model.send(
        Array.from({ length: LOGS * 2 }, (_, index) => model.record(index % LOGS, each.first + (index % 2))),
      )
    case 'fork':
      return model.send([model.record(each.log, each.lsn), model.record(each.log, each.lsn, each.other)])
    case 'free':
      return model.send([model.free(each.n), model.free(each.n)])
    case 'hand over':
      return handOver()
    case 'commit':
      return commit()
    case 'kill':
      return killAll()
    case 'reshard':
      return reshard(each.shards)
    case 'deploy':
      return deploy(each.shards)
  }
}

export function itMatchesItsModel(numRuns: number): void {
  beforeAll(() => {
    lakeAlarms.areByTest = true
  })

  it('[I5] lands each event once, whatever is sent and however often the number of shards changes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 14 }), async (steps) => {
        const model = new Model()
        for (const each of steps) await take(model, each)
        await reshard((await table.layout()).shards)
        lakeClock.aheadMs += HOLD_MS
        await landAll()
        await landAll()
        const found: string[] = []
        for (const source of [...Array.from({ length: LOGS }, (_, log) => model.source(log)), `r${model.run}-free`])
          for (const row of await rowsOf(`acme/${source}`))
            found.push(`${source} ${row['lsn'] === null ? '-' : Number(row['lsn'])} ${String(row['id'])}`)
        expect(found.toSorted()).toEqual([...model.places].toSorted())
        expect(await table.status()).toMatchObject({ bufferedEvents: 0, heldEvents: 0 })
      }),
      { numRuns },
    )
  })
}
