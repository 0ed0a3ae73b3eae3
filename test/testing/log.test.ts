import type { EventRecord } from 'durable-outbox'
import {
  assertLog,
  fakePipeline,
  type Fate,
  landed,
  LogError,
  type LogExpectation,
  nextFates,
} from 'durable-outbox/testing'
import { describe, expect, it } from 'vitest'
import { batch, EPOCH, NEXT_EPOCH, record } from './record.ts'

let names = 0
/** One ns for each test. */
function freshNs(): string {
  return `log-${names++}`
}

/** Sends batches, whether they are accepted or not. */
async function send(...batches: EventRecord[][]): Promise<void> {
  for (const records of batches)
    await fakePipeline()
      .send(records)
      .catch(() => undefined)
}

/** What `assertLog` finds wrong, each without the title of its log. */
function problemsOf(ns: string, expectation?: LogExpectation): string[] {
  try {
    assertLog(ns, expectation)
  } catch (error) {
    if (error instanceof LogError) return error.problems.map((problem) => problem.replace(/^\S+, epoch \w{26}: /, ''))
    throw error
  }
  return []
}

describe('landed', () => {
  it('holds each LSN once, as it arrived first, in order', async () => {
    const ns = freshNs()
    const again = { ...record(ns, 2), _meta: { ...record(ns, 2)._meta, retries: 1 } }
    await send(batch(ns, 2, 3), [again], batch(ns, 1))
    expect(landed(ns)).toEqual(batch(ns, 1, 2, 3))
  })

  it('keeps sources and epochs separate', async () => {
    const ns = freshNs()
    const others = [record(ns, 1, { epoch: NEXT_EPOCH }), record(ns, 1, { source: 'DO/Other' })]
    await send(batch(ns, 2), others, batch(ns, 1))
    expect(landed(ns)).toEqual([...batch(ns, 1, 2), ...others])
  })

  it('is empty if nothing was accepted', async () => {
    const ns = freshNs()
    nextFates(ns, 'reject')
    await send(batch(ns, 1))
    expect(landed(ns)).toEqual([])
  })
})

describe('assertLog', () => {
  it.each<[string, Fate[], number[][]]>([
    ['batches in order', [], [[1, 2], [3], [4, 5]]],
    ['a retry after a refusal', ['reject'], [[1, 2], [1, 2], [3]]],
    ['a retry after a lost answer', ['lose-answer'], [[1, 2], [1, 2], [3]]],
    ['a doubled delivery', ['deliver-twice'], [[1, 2], [3]]],
    ['an older batch again', ['accept', 'replay-older'], [[1, 2], [3]]],
    ['a refused batch in parts', ['reject', 'reject'], [[1, 2, 3, 4], [1, 2], [1], [2], [3, 4]]],
  ])('holds for %s', async (_, fates, batches) => {
    const ns = freshNs()
    nextFates(ns, ...fates)
    await send(...batches.map((lsns) => batch(ns, ...lsns)))
    expect(problemsOf(ns, { events: new Set(batches.flat()).size })).toEqual([])
  })

  it.each<[string, Fate[], number[][], string[]]>([
    [
      'an LSN that was never sent',
      [],
      [[1, 2], [4]],
      ['the batch 4 was sent after the batch 1 to 2', 'LSN 3 is missing: never sent'],
    ],
    ['the first LSNs', [], [[3, 4]], ['LSN 1 to 2 is missing: never sent']],
    ['the last batch', ['accept', 'reject'], [[1], [2, 3]], ['LSN 2 to 3 is missing: sent once and never accepted']],
    [
      'a batch that was given up',
      ['reject', 'reject'],
      [[1], [1], [2]],
      ['LSN 1 is missing: sent 2 times and never accepted'],
    ],
    ['a gap inside a batch', [], [[1, 3]], ['LSN 3 follows LSN 1 in one batch', 'LSN 2 is missing: never sent']],
    ['a batch turned round', [], [[2, 1]], ['LSN 1 follows LSN 2 in one batch']],
    [
      'a retry with more in it',
      ['reject'],
      [
        [1, 2],
        [1, 2, 3],
      ],
      ['the batch 1 to 3 was sent after the batch 1 to 2'],
    ],
    ['an older batch after a newer', [], [[1], [2], [1]], ['the batch 1 was sent after the batch 2']],
    ['batches out of order', [], [[2], [1]], ['the batch 1 was sent after the batch 2']],
  ])('names %s', async (_, fates, batches, problems) => {
    const ns = freshNs()
    nextFates(ns, ...fates)
    await send(...batches.map((lsns) => batch(ns, ...lsns)))
    expect(problemsOf(ns)).toEqual(problems)
  })

  it('names an LSN that was dropped, with the reason', async () => {
    const ns = freshNs()
    await send([record(ns, 1), { ...record(ns, 2), actor: 7 } as unknown as EventRecord])
    expect(problemsOf(ns)).toEqual(['LSN 2 is missing: accepted and dropped: actor is 7, but its column is string'])
  })

  it('names an LSN that arrives again with another content, except for its retries and the order of its keys', async () => {
    const ns = freshNs()
    const { data, ...rest } = record(ns, 2, { data: { a: 1, b: { c: 1, d: 2 } } })
    const turned = { data: { b: { d: 2, c: 1 }, a: data?.['a'] }, ...rest, _meta: { ...rest._meta, retries: 3 } }
    await send([record(ns, 1), { ...rest, data: data ?? {} }], [record(ns, 1, { type: 'Other' }), turned])
    expect(problemsOf(ns)).toEqual(['LSN 1 arrived again with another content'])
  })

  it('counts what landed against what was expected', async () => {
    const ns = freshNs()
    await send(batch(ns, 1, 2), batch(ns, 1, 2))
    expect(problemsOf(ns, { events: 2 })).toEqual([])
    expect(problemsOf(ns, { events: 3 })).toEqual(['2 events landed, 3 were expected'])
  })

  it('fails for an object that sent nothing, unless that is expected', () => {
    expect(problemsOf('a typing error')).toHaveLength(1)
    expect(problemsOf('a typing error', { events: 0 })).toEqual([])
    expect(problemsOf('a typing error', { events: 1 })).toHaveLength(1)
  })

  it('lets a log begin where another one of its ns ended, at 1, or at the given LSN', async () => {
    const ns = freshNs()
    await send(batch(ns, 1, 2), [record(ns, 3, { source: 'DO/Renamed' })], [record(ns, 1, { epoch: NEXT_EPOCH })])
    expect(problemsOf(ns)).toEqual([])
    const copy = freshNs()
    await send(batch(copy, 8, 9))
    expect(problemsOf(copy, { firstLSN: 8 })).toEqual([])
    expect(problemsOf(copy, { firstLSN: 7 })).toEqual(['LSN 7 is missing: never sent'])
  })

  it('names the log in its error, and counts the problems that it leaves out', async () => {
    const ns = freshNs()
    await send(...Array.from({ length: 15 }, (_, index) => batch(ns, 2 * index + 1)))
    try {
      assertLog(ns)
      expect.unreachable()
    } catch (error) {
      const { message, problems } = error as LogError
      expect(message).toContain(`the log of ${ns} is broken:\n- DO/Test, epoch ${EPOCH}: the batch 3 was sent after`)
      expect(problems).toHaveLength(28)
      expect(message).toContain('- and 8 more')
    }
  })
})
