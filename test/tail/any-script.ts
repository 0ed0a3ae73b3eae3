// Any script of commits, disconnections, evictions, prunings and new epochs: each client gets each LSN once, in order.

import { evictDurableObject, runDurableObjectAlarm } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { acceptedRecords } from 'durable-outbox/testing'
import * as fc from 'fast-check'
import { expect, vi } from 'vitest'
import { type Cursor, compareCursors, requireCursor } from '../../src/tail/cursor.ts'
import { commit } from '../lake/table.ts'
import { drain, inNotes } from '../notes.ts'
import { tailOptions } from '../worker.ts'
import { connect, tailOfNotes, type TailClient } from './client.ts'

const CLIENTS = 3
const SOON = { timeout: 10_000, interval: 5 }

const client = fc.nat(CLIENTS - 1)
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('write'), events: fc.integer({ min: 1, max: 40 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('write'), events: fc.integer({ min: 300, max: 700 }) }) },
  fc.record({ do: fc.constant('roll back') }),
  { weight: 2, arbitrary: fc.record({ do: fc.constant('land') }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('prune') }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('empty') }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('evict object', 'evict tail') }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('disconnect'), client }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('connect'), client, acknowledges: fc.boolean() }) },
)
type Step = { do: string; events?: number; client?: number; acknowledges?: boolean }

/** What one client has got, over all of its connections. */
class Reader {
  readonly #name: string
  readonly #connections: TailClient[] = []

  constructor(name: string) {
    this.#name = name
  }

  get #current(): TailClient | undefined {
    return this.#connections.at(-1)
  }

  get messages() {
    return this.#connections.flatMap(({ messages }) => messages)
  }

  async connect(acknowledges: boolean): Promise<void> {
    this.disconnect()
    const last = this.messages.at(-1)
    this.#connections.push(
      await connect(this.#name, last === undefined ? { from: '1' } : { after: last.cursor }, { acknowledges }),
    )
  }

  disconnect(): void {
    if (this.#current?.closed === undefined) this.#current?.close()
  }
}

class Script {
  readonly #name: string
  readonly readers: readonly Reader[]
  /** By epoch, the last LSN that has landed. */
  readonly landed = new Map<string, number>()

  constructor(name: string) {
    this.#name = name
    this.readers = Array.from({ length: CLIENTS }, () => new Reader(name))
  }

  async run(step: Step): Promise<void> {
    const name = this.#name
    const reader = this.readers[step.client ?? 0]
    switch (step.do) {
      case 'write':
        return inNotes(name, (notes) => {
          for (let event = 0; event < (step.events ?? 0); event++) notes.write(String(event))
        })
      case 'roll back':
        return inNotes(name, ({ ctx }) =>
          ctx
            .transaction(async (tx) => {
              tx.emit({ type: 'Rolled.back' })
              await Promise.resolve()
              throw new Error('on purpose')
            })
            .catch(() => undefined),
        )
      case 'land': {
        const { epoch } = await this.end()
        await drain(name)
        await env.LAKE.send(acceptedRecords(name))
        await commit()
        this.landed.set(epoch, (await this.end()).lsn)
        return
      }
      case 'prune': {
        const { epoch } = await this.end()
        const through = this.landed.get(epoch) ?? 0
        return inNotes(name, ({ ctx }) => void ctx.storage.sql.exec('DELETE FROM _cdc_outbox WHERE lsn <= ?', through))
      }
      case 'empty':
        return inNotes(name, (notes) => notes.empty())
      case 'evict object':
        return evict(env.NOTES.getByName(name))
      case 'evict tail':
        return evict(tailOfNotes(name))
      case 'disconnect':
        return reader?.disconnect()
      case 'connect':
        return reader?.connect(step.acknowledges ?? true)
    }
  }

  async end(): Promise<Cursor> {
    using outbox = await env.NOTES.getByName(this.#name).outbox
    const { epoch, lastLSN: lsn } = await outbox.stats()
    return { epoch, lsn }
  }

  /** Connects all clients, and waits until they have all that there is. */
  async finish(): Promise<void> {
    for (const reader of this.readers) await reader.connect(true)
    const end = await this.end()
    tailOptions.aheadMs += 2_000
    await runDurableObjectAlarm(tailOfNotes(this.#name))
    for (const reader of this.readers) await vi.waitFor(() => checkIsAt(reader, end), SOON)
  }
}

/** An object that is not running can't be evicted. */
async function evict(stub: DurableObjectStub): Promise<void> {
  await evictDurableObject(stub).catch(() => undefined)
}

function checkIsAt({ messages }: Reader, end: Cursor): void {
  expect(requireCursor(messages.at(-1)?.cursor ?? '')).toEqual(end)
}

/** Checks that each event follows the one before it, and each new log what had landed of the former one. */
function check({ messages }: Reader, landed: ReadonlyMap<string, number>): void {
  let place: Cursor | undefined
  for (const { cursor: text, event, began } of messages) {
    const cursor = requireCursor(text)
    if (event !== undefined) expect(cursor).toEqual({ epoch: place?.epoch, lsn: (place?.lsn ?? 0) + 1 })
    else if (began !== undefined && place !== undefined) {
      expect(compareCursors(cursor, place)).toBeGreaterThan(0)
      expect(place.lsn).toBeGreaterThanOrEqual(landed.get(place.epoch) ?? 0)
    } else if (place !== undefined) expect(cursor).toEqual(place)
    place = cursor
  }
}

/** Runs so many scripts. @returns how many. @throws what a client got wrong, with the smallest script that shows it. */
export async function checkScripts(numRuns: number): Promise<number> {
  let runs = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), async (steps) => {
      const script = new Script(`script-${(runs += 1)}`)
      await script.readers[0]?.connect(true)
      for (const each of steps) await script.run(each)
      await script.finish()
      for (const reader of script.readers) {
        check(reader, script.landed)
        reader.disconnect()
      }
    }),
    { numRuns },
  )
  return runs
}
