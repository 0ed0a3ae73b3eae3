// What no receiver would ever accept does not commit; and where something is refused after all, its record lands.

import { env } from 'cloudflare:workers'
import { runInDurableObject } from 'cloudflare:test'
import { type CDCOptions, type EventRecord, ExactlyOnceContext, type Pipeline } from 'durable-outbox'
import { describe, expect, it } from 'vitest'
import { recordFields } from '../../src/event/record.ts'
import { readFailure } from '../../src/pipeline/failure.ts'
import { failureOf, inNotes } from '../notes.ts'
import { configurations, type Plain, type SlowLakeTable } from '../worker.ts'

function inPlain<T>(name: string, run: (state: DurableObjectState) => T | Promise<T>): Promise<T> {
  return runInDurableObject<Plain, T>(env.PLAIN.getByName(name), (_, state) => run(state))
}

/** The lake itself, called inside its object, as the runtime prints what leaves one as an error. */
const lake: Pipeline & { readonly landed: EventRecord[] } = {
  landed: [],
  async send(records) {
    const table = env.LAKE_TABLE.getByName('cdc.events')
    const failure = await runInDurableObject(table, (object) =>
      (object as SlowLakeTable).send(JSON.stringify(records)).then(
        () => undefined,
        (error: unknown) => ({ ...Object(error), message: String(error) }) as object,
      ),
    )
    if (failure !== undefined) throw Object.assign(new Error(), failure)
    lake.landed.push(...records)
  },
}

function landedOf(ns: string): EventRecord[] {
  return lake.landed.filter((record) => record.ns === ns)
}

describe('an object with a name that no record can carry', () => {
  it.each([
    ['a NUL', '\0'],
    ['a NUL in it', 'a\0b'],
  ])('[I3] commits nothing: %s', async (_, name) => {
    await inPlain(name, async (state) => {
      const failure = await failureOf(() =>
        new ExactlyOnceContext(state, { pipeline: lake }).transactionSync((tx) => tx.emit({ type: 'A' })),
      )
      expect(failure).toMatchObject({
        code: 'invalid-config',
        message: expect.stringMatching(/outbox: ns: .*configure/),
      })
      expect(state.storage.sql.exec("SELECT name FROM sqlite_master WHERE name = '_cdc_outbox'").toArray()).toEqual([])
    })
  })

  it.each(['line\nfeed', 'x/../y', '\u202e', ' ', "'; --"])('commits and lands under any other: %j', async (name) => {
    await inPlain(name, async (state) => {
      const context = new ExactlyOnceContext(state, { pipeline: lake })
      context.transactionSync((tx) => tx.emit({ type: 'A' }))
      await context.alarm()
    })
    expect(landedOf(name)).toHaveLength(1)
  })

  it('[I3] may have another ns', async () => {
    await inPlain('c\0d', async (state) => {
      const context = new ExactlyOnceContext(state, { ns: 'another', pipeline: lake })
      context.transactionSync((tx) => tx.emit({ type: 'A' }))
      await context.alarm()
    })
    expect(landedOf('another')).toHaveLength(1)
  })
})

describe('a clock whose time no record can carry', () => {
  it.each([Number.NaN, -1, 253_402_300_800_000])('[I3] commits nothing: %d', async (wrongMs) => {
    let nowMs = Date.now()
    const options: CDCOptions = { now: () => nowMs, pipeline: lake }
    await inPlain(`clock ${wrongMs}`, async (state) => {
      const context = new ExactlyOnceContext(state, options)
      state.storage.sql.exec('CREATE TABLE items (id TEXT PRIMARY KEY)')
      context.capture('items')
      nowMs = wrongMs
      const refused = { code: 'invalid-config', message: expect.stringContaining('the clock says') }
      expect(await failureOf(() => context.transactionSync((tx) => tx.emit({ type: 'A' })))).toMatchObject(refused)
      expect(await failureOf(() => state.storage.sql.exec("INSERT INTO items VALUES ('a')"))).toMatchObject(refused)
      nowMs = Date.now()
      expect(context.outbox.stats()).toMatchObject({ pendingEvents: 0, lastLSN: 0 })
    })
  })
})

describe('what commits', () => {
  it('[I3] lands: a captured key of as many characters as one may have, each a surrogate pair', async () => {
    const key = '😀'.repeat(1_024)
    await inPlain('long key', async (state) => {
      const context = new ExactlyOnceContext(state, { pipeline: lake })
      state.storage.sql.exec('CREATE TABLE items (id TEXT PRIMARY KEY)')
      context.capture('items')
      state.storage.sql.exec('INSERT INTO items VALUES (?)', key)
      await context.alarm()
      expect(context.outbox.stats()).toMatchObject({ pendingEvents: 0, deadLetters: 0 })
    })
    expect(landedOf('long key').map((record) => record.key)).toEqual([key])
  })

  it('[I3] lands as the record of a dead letter if it is refused, whatever its words are', async () => {
    const name = 'bad words'
    configurations.set(name, { pipeline: lake })
    await inNotes(name, ({ ctx }) => {
      ctx.transactionSync((tx) => tx.emit({ type: 'A' }))
      // As only a bug of ours, or a damaged file, could leave it.
      const events = '[{"id":"\\ud83d","type":"\\ud83d"}]'
      ctx.storage.sql.exec('UPDATE _cdc_outbox SET events = ?', events)
    })
    await inNotes(name, ({ outbox }) => outbox.flush())
    expect(landedOf(name)).toMatchObject([
      { lsn: 1, type: 'cdc.dead_letter', data: { type: '\ufffd', reason: expect.stringContaining('record 0: id') } },
    ])
    expect(recordFields.problems(landedOf(name)[0])).toEqual([])
  })

  it('names the record that the lake refuses', async () => {
    const failure: unknown = await lake.send([{} as EventRecord]).catch((error: unknown) => error)
    expect(readFailure(failure)).toMatchObject({ name: 'refused' })
  })
})
