// What a reader of the log makes of the events of columnar stores; and the content of such a store in the same form.

import type { ColumnarStore, UnifiedEvent } from 'durable-outbox'
import * as z from 'zod'

type Row = Record<string, unknown>

/** Rows by their number, by partition. Values are JSON; a row has no nulls. */
export type FoldedPartitions = Map<string, Row[]>

const batchSchema = z.strictObject({
  partition: z.string(),
  first: z.int().nonnegative(),
  count: z.int().positive(),
  types: z.record(z.string(), z.string()),
  columns: z.record(z.string(), z.array(z.unknown())),
})

/**
 * Folds batches, and chunks of a snapshot, which have the same form: each holds the rows of a partition from a number on. So
 * it does no harm if a snapshot repeats what a batch has told.
 */
export function foldColumnar(
  events: Iterable<Pick<UnifiedEvent, 'op' | 'store' | 'table' | 'key' | 'after'>>,
  partitions: FoldedPartitions = new Map(),
): FoldedPartitions {
  for (const { op, store, key, after } of events) {
    if (store !== 'columnar') continue
    const { partition, first, count, types, columns } = batchSchema.parse(after)
    if (op !== 'c' && op !== 'r') throw new Error(`${op} is no operation of a columnar store`)
    if (key !== `${partition}/${first}`) throw new Error(`${key} is not the key of ${partition}/${first}`)
    if (Object.keys(types).join() !== Object.keys(columns).join())
      throw new Error(`${key}: types are not those of columns`)
    const rows = partitions.get(partition) ?? []
    partitions.set(partition, rows)
    for (let index = 0; index < count; index += 1) rows[first + index] = rowAt(columns, index)
    if (rows.includes(undefined as never)) throw new Error(`${key} leaves a gap`)
    for (const values of Object.values(columns))
      if (values.length !== count) throw new Error(`${key}: a column has ${values.length} values for ${count} rows`)
  }
  return partitions
}

function rowAt(columns: Record<string, unknown[]>, index: number): Row {
  const values = Object.entries(columns).map(([name, column]) => [name, column[index]] as const)
  return Object.fromEntries(values.filter(([, value]) => value !== null))
}

/** Every row of a store in the form of the fold, read with queries. */
export function contentOf<T extends object>(store: ColumnarStore<T>): FoldedPartitions {
  const partitions: FoldedPartitions = new Map()
  for (const { id } of store.partitions()) {
    const rows: Row[] = []
    for (let offset = 0; offset === rows.length; offset += 1_000)
      rows.push(...store.query({ partition: id, limit: 1_000, offset }).map(plain))
    partitions.set(id, rows)
  }
  return partitions
}

/** A row as JSON and without nulls. */
export function plain(row: object): Row {
  const json = JSON.parse(JSON.stringify(row)) as Row
  return Object.fromEntries(Object.entries(json).filter(([, value]) => value !== null))
}
