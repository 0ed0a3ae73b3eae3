// Which partition each row of a batch belongs to.

import { isCleanText } from '../../event/json.ts'
import type { Batch, EncodedBatch } from './batch.ts'
import type { Column, Encoded } from './column.ts'
import { invalid } from '../checks.ts'

/** UTF-16 units of the id of a partition. */
export const COLUMNAR_PARTITION_LENGTH_MAX = 1_000

/** The partition of all rows, where nothing says otherwise. */
const ONLY_PARTITION = 'all'

/** What decides: a column, a function of the row, or nothing. */
export type PartitionBy = string | ((row: never) => string) | undefined

/** The indexes of the rows of each partition, in the order of the batch. */
export function partitionRows(
  given: Batch,
  encoded: EncodedBatch,
  partitionBy: PartitionBy,
  method: string,
): Map<string, number[]> {
  const idOf = partitioner(given, encoded, partitionBy, method)
  const partitions = new Map<string, number[]>()
  for (let index = 0; index < encoded.count; index += 1) {
    const id = idOf(index)
    const indexes = partitions.get(id)
    if (indexes === undefined) partitions.set(checkId(id, index, method), [index])
    else indexes.push(index)
  }
  return partitions
}

function partitioner(
  given: Batch,
  encoded: EncodedBatch,
  partitionBy: PartitionBy,
  method: string,
): (index: number) => string {
  if (partitionBy === undefined) return () => ONLY_PARTITION
  // The store's type says what the function takes, and that the rows are of it.
  if (typeof partitionBy === 'function') return (index) => partitionBy(given.rowAt(index) as never)
  const column = [...encoded.values.keys()].find(({ name }) => name === partitionBy)
  if (column === undefined) return () => 'null'
  if (column.type === 'json')
    throw invalid(method, `partitionBy: ${partitionBy} holds JSON; partition by a function of the row`)
  const values = encoded.values.get(column) ?? []
  return (index) => idOfValue(column, values[index] ?? null)
}

function idOfValue({ type }: Column, value: Encoded): string {
  if (typeof value === 'object') return 'null'
  return type === 'timestamp' ? String(value).slice(0, '2026-11-22'.length) : String(value)
}

function checkId(id: unknown, index: number, method: string): string {
  if (typeof id === 'string' && id.length <= COLUMNAR_PARTITION_LENGTH_MAX && isCleanText(id)) return id
  throw invalid(
    method,
    `row ${index + 1}: the id of its partition must be a string of at most ${COLUMNAR_PARTITION_LENGTH_MAX} characters, none of them a NUL or half a surrogate pair`,
  )
}
