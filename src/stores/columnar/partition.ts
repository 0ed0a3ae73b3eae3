// Which partition each row of a batch belongs to.

import { isCleanText } from '../../event/json.ts'
import { describe, invalid } from '../checks.ts'
import type { Batch, EncodedBatch } from './batch.ts'
import type { Column, Encoded } from './column.ts'
import { limits } from './limits.ts'

/** The partition of all rows, without `partitionBy`. */
const ONLY_PARTITION = 'all'

/** What decides it: a column, a function of the row, or nothing. */
export type PartitionBy = string | ((row: never) => string) | undefined

/** The indexes of the rows of each partition, in the order of the batch. */
export function partitionRows(
  given: Batch,
  encoded: EncodedBatch,
  partitionBy: PartitionBy,
  caller: string,
): Map<string, number[]> {
  const idOf = partitioner(given, encoded, partitionBy, caller)
  const partitions = new Map<string, number[]>()
  for (let index = 0; index < encoded.count; index += 1) {
    const id = idOf(index)
    const indexes = partitions.get(id)
    if (indexes === undefined) partitions.set(checkId(id, index, caller), [index])
    else indexes.push(index)
  }
  return partitions
}

function partitioner(
  given: Batch,
  encoded: EncodedBatch,
  partitionBy: PartitionBy,
  caller: string,
): (index: number) => string {
  if (partitionBy === undefined) return () => ONLY_PARTITION
  // The type of the store ensures that the function takes its rows.
  if (typeof partitionBy === 'function') return (index) => partitionBy(given.rowAt(index) as never)
  const column = [...encoded.values.keys()].find(({ name }) => name === partitionBy)
  if (column === undefined) return () => 'null'
  if (column.type === 'json')
    throw invalid(caller, `partitionBy: ${partitionBy} holds JSON; partition by a function of the row`)
  const values = encoded.values.get(column) ?? []
  return (index) => idOfValue(column, values[index] ?? null)
}

function idOfValue({ type }: Column, value: Encoded): string {
  if (typeof value === 'object') return 'null'
  return type === 'timestamp' ? String(value).slice(0, '2026-11-22'.length) : String(value)
}

function checkId(id: unknown, index: number, caller: string): string {
  if (typeof id === 'string' && id.length <= limits.partitionCharacters && isCleanText(id)) return id
  throw invalid(
    caller,
    `row ${index + 1}: the partition's id must be text of at most ${limits.partitionCharacters} characters without a NUL or half ` +
      `a surrogate pair, not ${describe(id)}`,
  )
}
