// What happens between a question and its answer: the object asks its tail whether it is followed, and the tail reads the
// object's log. Answers are held back here, until something else has happened.

import { runInDurableObject } from 'cloudflare:test'
import { OutboxAdmin } from 'durable-outbox'
import { OutboxTail } from 'durable-outbox/tail'
import { afterEach, expect, it, vi } from 'vitest'
import { inNotes } from '../notes.ts'
import { connect, lsnsOf, tailOfNotes } from './client.ts'

const SOON = { timeout: 5_000, interval: 5 }

afterEach(() => {
  vi.restoreAllMocks()
})

/** Holds back the next answer of a method. @returns what waits until it is there, and what lets it go. */
function holdNext<Method extends 'tail' | 'poke'>(
  prototype: { [Name in Method]: (...args: never[]) => unknown },
  method: Method,
) {
  const state = { isAnswered: false, isReleased: false }
  const original: (...args: never[]) => unknown = prototype[method]
  const held = async function (this: unknown, ...args: never[]): Promise<unknown> {
    prototype[method] = original
    const answer = await original.apply(this, args)
    state.isAnswered = true
    // In the object, which no promise of the test may wake.
    while (!state.isReleased) await scheduler.wait(1)
    return answer
  }
  prototype[method] = held
  return {
    answered: () => vi.waitFor(() => expect(state.isAnswered).toBe(true), SOON),
    release: () => void (state.isReleased = true),
  }
}

function connections(name: string): Promise<number> {
  return runInDurableObject(tailOfNotes(name), (_, state) => state.getWebSockets().length)
}

function write(name: string): Promise<void> {
  return inNotes(name, (notes) => notes.write('a'))
}

it('[I2] a tail reads again if the log has grown while it read', async () => {
  const client = await connect('reading')
  const pokes = vi.spyOn(OutboxTail.prototype, 'poke')
  const read = holdNext(OutboxAdmin.prototype, 'tail')
  await write('reading')
  await read.answered()
  await write('reading')
  await vi.waitFor(() => expect(pokes).toHaveBeenCalledTimes(2), SOON)
  read.release()
  await vi.waitFor(() => expect(lsnsOf(client)).toEqual([1, 2]), SOON)
  client.close()
})

it('an object goes on telling its tail if a client came while it heard that nobody follows it', async () => {
  const first = await connect('leaving')
  first.close()
  await vi.waitFor(async () => expect(await connections('leaving')).toBe(0), SOON)
  const poke = holdNext(OutboxTail.prototype, 'poke')
  await write('leaving')
  await poke.answered()
  const second = await connect('leaving')
  poke.release()
  await write('leaving')
  await vi.waitFor(() => expect(lsnsOf(second)).toEqual([2]), SOON)
  second.close()
})

it('an object goes on telling its tail while a client connects', async () => {
  await write('connecting')
  const read = holdNext(OutboxAdmin.prototype, 'tail')
  const connecting = connect('connecting')
  await read.answered()
  const pokes = vi.spyOn(OutboxTail.prototype, 'poke')
  await write('connecting')
  await vi.waitFor(() => expect(pokes).toHaveBeenCalled(), SOON)
  read.release()
  const client = await connecting
  await vi.waitFor(() => expect(lsnsOf(client)).toEqual([2]), SOON)
  await write('connecting')
  await vi.waitFor(() => expect(lsnsOf(client)).toEqual([2, 3]), SOON)
  client.close()
})
