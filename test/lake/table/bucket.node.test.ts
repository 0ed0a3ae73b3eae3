import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Bucket } from '../../../src/lake/table/bucket.ts'

const LIMIT_MS = 1_000

/** R2 of which only what a test needs answers as R2 does. */
function bucketOf(r2: Partial<Record<keyof R2Bucket, (...args: never[]) => Promise<unknown>>>): Bucket {
  return new Bucket(r2 as unknown as R2Bucket, { bucketMs: LIMIT_MS })
}

const never = () => new Promise<never>(() => undefined)

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

describe('a call to R2', () => {
  const silent = { get: never, head: never, put: never, delete: never, list: never }
  const calls: [string, (bucket: Bucket) => Promise<unknown>][] = [
    ['get k', (bucket) => bucket.read('k')],
    ['head k', (bucket) => bucket.has('k')],
    ['put k', (bucket) => bucket.put('k', '')],
    ['put k', (bucket) => bucket.putNew('k', '')],
    ['delete 2 files', (bucket) => bucket.delete(['k', 'l'])],
    ['list p', (bucket) => bucket.list({ prefix: 'p' })],
    ['list p', (bucket) => Array.fromAsync(bucket.keys('p'))],
  ]

  it.each(calls)('[I13] fails if it is never answered: %s', async (call, make) => {
    const outcome = make(bucketOf(silent)).catch((error: unknown) => error)
    let isOver = false
    void outcome.then(() => (isOver = true))
    await vi.advanceTimersByTimeAsync(LIMIT_MS - 1)
    expect(isOver).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    expect(await outcome).toMatchObject({
      code: 'bucket-timeout',
      retryable: true,
      message: `lake: no answer from R2 in ${LIMIT_MS} ms: ${call}`,
    })
  })

  it('[I13] fails if its answer has a body that never comes', async () => {
    const outcome = bucketOf({ get: async () => ({ arrayBuffer: never }) })
      .read('k')
      .catch((error: unknown) => error)
    await vi.advanceTimersByTimeAsync(LIMIT_MS)
    expect(await outcome).toMatchObject({ code: 'bucket-timeout' })
  })

  it.each(calls)('fails as R2 does, and leaves no timer behind: %s', async (_, make) => {
    const fail = () => Promise.reject(new Error('on purpose'))
    await expect(make(bucketOf({ get: fail, head: fail, put: fail, delete: fail, list: fail }))).rejects.toThrow(
      'on purpose',
    )
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('what R2 answers', () => {
  it('tells whether a file is there, and what is in it', async () => {
    const { buffer } = Uint8Array.of(7)
    const full = bucketOf({ get: async () => ({ arrayBuffer: async () => buffer }), head: async () => ({}) })
    expect([await full.read('k'), await full.has('k')]).toEqual([buffer, true])
    const empty = bucketOf({ get: async () => null, head: async () => null })
    expect([await empty.read('k'), await empty.has('k')]).toEqual([undefined, false])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('tells whether a file was stored that must be new', async () => {
    const asked: (string | null)[] = []
    const bucket = (answer: unknown) =>
      bucketOf({
        put: async (_key: string, _content: string, options?: { onlyIf: Headers }) => {
          asked.push(options?.onlyIf.get('if-none-match') ?? null)
          return answer
        },
      })
    expect([await bucket({}).putNew('k', ''), await bucket(null).putNew('k', '')]).toEqual([true, false])
    await bucket({}).put('k', '')
    expect(asked).toEqual(['*', '*', null])
  })

  it('is read page by page', async () => {
    const pages = [
      { objects: [{ key: 'a' }, { key: 'b' }], truncated: true, cursor: '1' },
      { objects: [{ key: 'c' }], truncated: false },
    ]
    const asked: unknown[] = []
    const bucket = bucketOf({
      list: async (options: unknown) => {
        asked.push(options)
        return pages[asked.length - 1]
      },
    })
    expect(await Array.fromAsync(bucket.keys('p'))).toEqual(['a', 'b', 'c'])
    expect(asked).toEqual([{ prefix: 'p' }, { prefix: 'p', cursor: '1' }])
  })
})
