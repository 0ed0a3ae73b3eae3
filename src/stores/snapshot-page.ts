// Pages of a snapshot, from rows that were read in the order of their keys.

import type { EventInput } from '../event/unified-event.ts'
import type { SnapshotPage } from '../store.ts'

interface RowReader<Row> {
  readonly eventOf: (row: Row) => EventInput
  /** Where a page ends that has this row last. */
  readonly placeOf: (row: Row) => string
}

/** @param maxRows how many rows were asked for: if there are as many, another page may follow. */
export function snapshotPage<Row>(
  rows: readonly Row[],
  maxRows: number,
  { eventOf, placeOf }: RowReader<Row>,
): SnapshotPage {
  const last = rows.at(-1)
  return {
    events: rows.map(eventOf),
    next: last === undefined || rows.length < maxRows ? undefined : placeOf(last),
  }
}
