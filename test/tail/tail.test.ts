import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { describe, expect, it, vi } from 'vitest'
import { inNotes } from '../notes.ts'
import { connect, lsnsOf, tailOfNotes } from './client.ts'

const SOON = { timeout: 5_000, interval: 5 }

describe('a tail', () => {
  it('[I2] sends each event once it has committed, in the order of the log', async () => {
    const client = await connect('live')
    await inNotes('live', (notes) => notes.write('a'))
    await inNotes('live', (notes) => notes.write('b'))
    await vi.waitFor(() => expect(lsnsOf(client)).toEqual([1, 2]), SOON)
    expect(client.events[0]).toMatchObject({ type: 'Note.written', data: { text: 'a' }, ns: 'live' })
    client.close()
  })

  it('keeps nobody awake, and continues for the same sockets after it slept', async () => {
    const client = await connect('asleep', { from: '1' })
    await inNotes('asleep', (notes) => notes.write('a'))
    await vi.waitFor(() => expect(lsnsOf(client)).toEqual([1]), SOON)
    await evictDurableObject(tailOfNotes('asleep'))
    await evictDurableObject(env.NOTES.getByName('asleep'))
    const sockets = await runInDurableObject(tailOfNotes('asleep'), (_, state) => state.getWebSockets().length)
    expect(sockets).toBe(1)
    await evictDurableObject(tailOfNotes('asleep'))
    await inNotes('asleep', (notes) => notes.write('b'))
    await vi.waitFor(() => expect(lsnsOf(client)).toEqual([1, 2]), SOON)
    client.close()
  })
})
