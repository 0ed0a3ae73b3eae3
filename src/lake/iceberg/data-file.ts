// Data files: rows are divided into partitions, and each partition is written as one Parquet file.
// Format: https://iceberg.apache.org/spec/#writing-data-files

import { type ParquetFile, writeParquet } from './parquet.ts'
import { partitionOf, partitionPath, partitionSources } from './partition.ts'
import type { PartitionSource, PartitionSpec, PartitionValue } from './partition.ts'
import type { Column, Row, Schema } from './schema.ts'

/** A Parquet file, and the partition that all its rows belong to. */
export interface DataFile extends ParquetFile {
  /** Relative to the table's location. */
  readonly key: string
  readonly partition: readonly PartitionValue[]
}

interface Partition {
  readonly values: readonly PartitionValue[]
  readonly rows: Row[]
}

export interface DataFileOptions {
  readonly schema: Schema
  /** The schema's columns, with what the schema does not hold: whether bounds are kept. */
  readonly columns: readonly Column[]
  readonly spec: PartitionSpec
  /** Makes a new UUID, for the name of a file. */
  readonly uuid: () => string
}

/**
 * Writes one file per partition, in the order in which the partitions first appear; rows keep their order.
 *
 * @throws {CDCError} `invalid-argument` if a value does not fit its column.
 */
export function writeDataFiles(rows: readonly Row[], options: DataFileOptions): DataFile[] {
  const { schema, columns, spec, uuid } = options
  return partitionRows(rows, partitionSources(spec, schema)).map(({ values, rows }) => ({
    ...writeParquet(columns, rows),
    key: ['data', partitionPath(values, spec), `${uuid()}.parquet`].filter((segment) => segment !== '').join('/'),
    partition: values,
  }))
}

/** The partitions that rows belong to, each once. */
export function partitionsOf(rows: readonly Row[], { schema, spec }: Pick<DataFileOptions, 'schema' | 'spec'>) {
  return partitionRows(rows, partitionSources(spec, schema)).map(({ values }) => values)
}

function partitionRows(rows: readonly Row[], sources: readonly PartitionSource[]): Partition[] {
  const partitions = new Map<string, Partition>()
  let last: Partition | undefined
  for (const row of rows) {
    const values = partitionOf(row, sources)
    // Neighbours are often of one partition, and comparing is cheaper than naming it.
    if (last !== undefined && last.values.every((value, index) => value === values[index])) {
      last.rows.push(row)
      continue
    }
    const name = JSON.stringify(values)
    last = partitions.get(name) ?? { values, rows: [] }
    last.rows.push(row)
    partitions.set(name, last)
  }
  return [...partitions.values()]
}
