// What the tests of TimeSeriesStore share: an object to make one in, and what a reader of the log makes of its events.

import { env } from 'cloudflare:workers'
import { runInDurableObject } from 'cloudflare:test'
import type { CommittedEvent, EventInput, TimeSeriesStore } from 'durable-outbox'
import type { Point, Rollup } from 'durable-outbox/stores'
import type { Stores } from '../worker.ts'

/** Runs code inside an object that is new. */
export function inObject<T>(run: (object: Stores) => T | Promise<T>): Promise<T> {
  return runInDurableObject<Stores, T>(env.STORES.getByName(crypto.randomUUID()), run)
}

/** All events of an object, in the order of their LSNs. */
export function eventsOf(object: Stores): CommittedEvent[] {
  const events: CommittedEvent[] = []
  for (let from: number | undefined = 1; from !== undefined;) {
    const page = object.outbox.list({ from, limit: 1_000 })
    events.push(...page.items)
    from = page.nextLSN
  }
  return events
}

/** What is in a store: its points by series and time, its rollups by series, length and beginning. */
export interface Content {
  points: Record<string, Record<number, unknown>>
  rollups: Record<string, Rollup>
}

type FoldedEvent = Pick<EventInput, 'op' | 'key' | 'before' | 'after'>

/**
 * What a reader of the log makes of a store's events, which must be in the order of their LSNs. Rows of a snapshot are
 * events too.
 */
export function foldTimeSeries(events: readonly FoldedEvent[]): Content {
  const content: Content = { points: {}, rollups: {} }
  for (const event of events) foldEvent(content, event)
  return content
}

export function foldEvent({ points, rollups }: Content, { op, key = '', before, after }: FoldedEvent): void {
  if (after !== undefined && 'bucketMs' in after) {
    const rollup = after as unknown as Rollup
    rollups[`${key} ${rollup.bucketMs} ${rollup.bucket}`] = rollup
    return
  }
  const series = (points[key] ??= {})
  if (op === 'd') {
    const { from, to } = before as { from: number; to: number }
    for (const timestamp of Object.keys(series).map(Number))
      if (timestamp >= from && timestamp <= to) delete series[timestamp]
    if (Object.keys(series).length === 0) delete points[key]
  } else {
    const { timestamp, value } = after as unknown as Point<unknown>
    series[timestamp] = value
  }
}

/** The store's content as its own methods give it. */
export function contentOf<T>(store: TimeSeriesStore<T>, keys: readonly string[], buckets: readonly number[]): Content {
  const content: Content = { points: {}, rollups: {} }
  for (const key of keys) {
    const points = [...store.range(key)]
    if (points.length > 0)
      content.points[key] = Object.fromEntries(points.map(({ timestamp, value }) => [timestamp, value]))
    for (const bucket of buckets)
      for (const rollup of store.rollups(key, { bucket })) content.rollups[`${key} ${bucket} ${rollup.bucket}`] = rollup
  }
  return content
}

/** The rows of a snapshot, through all its pages. */
export function snapshotOf<T>(store: TimeSeriesStore<T>, maxRows: number): EventInput[] {
  const events: EventInput[] = []
  let after: string | undefined
  for (let pages = 0; pages < 1_000; pages++) {
    const page = store.readRows(after, maxRows)
    events.push(...page.events)
    if (page.next === undefined) return events
    after = page.next
  }
  throw new Error(`${store.name}: the snapshot does not end`)
}
