// What a reader of the log makes of the events of time series; and the content of a store in the same form.

import type { EventInput, TimeSeriesStore } from 'durable-outbox'
import type { Point, Rollup } from 'durable-outbox/stores'

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

/** The store's content as its own methods return it. */
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
