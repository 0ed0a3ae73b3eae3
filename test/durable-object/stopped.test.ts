// What kills of a whole runtime hardly ever hit: an object that is stopped while it is emptied, or while a snapshot of it runs.

import { runInDurableObject } from 'cloudflare:test'
import { assertLog, drain, explore, landed } from 'durable-outbox/testing'
import { describe, expect, it, vi } from 'vitest'
import { configurations, type Notes } from '../worker.ts'
import { object } from '../testing/writing.ts'

/** A named alarm whose run was interrupted is due again at once. */
function resuming(name: string) {
  configurations.set(name, { recoveryMs: 1 })
  return object(name)
}

const TEXTS = ['a', 'b', 'c', 'd', 'e']

describe('an object that is stopped at any point', () => {
  it('[I11] of a snapshot emits each row once, or was never asked for it', async () => {
    const { points } = await explore<Notes, 'asked'>({
      object: resuming,
      async run(notes, told) {
        for (const text of TEXTS) await notes.draft(text)
        await notes.snapshotDrafts(2)
        told.push('asked')
      },
      async check({ stub, name, told }) {
        await vi.waitFor(async () => {
          await drain(stub)
          const { pendingEvents, snapshots } = await runInDurableObject(stub, (notes) => notes.outbox.stats())
          expect([pendingEvents, ...snapshots.filter(({ endedAt }) => endedAt === undefined)]).toEqual([0])
        })
        const drafts = await runInDurableObject(stub, (notes) => notes.drafts.list().map((draft) => draft.$id))
        const snapshot = landed(name).flatMap(({ op, key }) => (op === 'r' ? [key] : []))
        const isWhole = snapshot.length === drafts.length && new Set(snapshot).isSubsetOf(new Set(drafts))
        expect(isWhole || (told.length === 0 && snapshot.length === 0)).toBe(true)
        assertLog(name, { events: drafts.length + snapshot.length })
      },
    })
    // Three chunks, each a transaction of its own.
    expect(points.filter((point) => point === 'before the end of a transaction').length).toBeGreaterThan(10)
  })

  it('[I9] of being emptied has logs without a gap, and every note that was written afterwards', async () => {
    const { points } = await explore<Notes, string>({
      object,
      async run(notes, told) {
        await notes.write('before')
        await notes.empty()
        await notes.write('after')
        told.push('after')
      },
      async check({ stub, name, told }) {
        const texts = await runInDurableObject(stub, (notes) => notes.notes())
        const events = landed(name).map(({ data }) => data?.['text'])
        expect(texts).toEqual(expect.arrayContaining([...told]))
        expect(events).toEqual(expect.arrayContaining(texts))
        assertLog(name, { events: events.length })
      },
    })
    expect(points).toContain('before deleteAll')
  })
})
