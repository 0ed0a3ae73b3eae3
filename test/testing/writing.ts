// What clients of an object ask for while it is explored, and what must be left.

import { env } from 'cloudflare:workers'
import { runInDurableObject } from 'cloudflare:test'
import { assertLog, type Calls, type ExploreOutcome, landed } from 'durable-outbox/testing'
import { expect } from 'vitest'
import type { Notes } from '../worker.ts'

export type Write = 'write' | 'writeApart' | 'writeLater'

export const object = (name: string) => env.NOTES.getByName(name)

/** Clients that write notes, and each asks once more if it got no answer. */
export function writing(method: Write, ...texts: string[]) {
  return async (notes: Calls<Notes>, told: string[]) => {
    for (const text of texts) {
      await notes[method](text).catch(() => notes[method](text))
      told.push(text)
    }
  }
}

/** Each note has one event, and each that a client was told of is there. */
export async function check({ stub, name, told }: ExploreOutcome<Notes, string>): Promise<void> {
  const texts = await runInDurableObject(stub, (notes) => notes.notes())
  expect(texts).toEqual(expect.arrayContaining([...told]))
  expect(landed(name).map(({ data }) => data?.['text'])).toEqual(texts)
  assertLog(name, { events: texts.length })
}
