/**
 * Data files: rows are sorted into partitions, and each partition is written as one Parquet file.
 *
 * Format: https://iceberg.apache.org/spec/#writing-data-files
 */
import { writeParquet } from './parquet.ts'
import type { ParquetFile } from './parquet.ts'
import { partitionOf, partitionPath, partitionSources } from './partition.ts'
import type { PartitionSource, PartitionSpec, PartitionValue } from './partition.ts'
import type { Column, Row, Schema } from './schema.ts'

/** A Parquet file, its place below the table's location, and the partition that all its rows belong to. */
export type DataFile = ParquetFile & { key: string; partition: PartitionValue[] }

type Partition = { values: PartitionValue[]; rows: Row[] }

export type DataFileOptions = {
  schema: Schema
  /** The schema's columns with what the schema doesn't say of them: whether bounds are kept. */
  columns: readonly Column[]
  spec: PartitionSpec
  /** Makes a new UUID; it makes the name of each file unique. */
  uuid: () => string
}

/**
 * Writes one file per partition, in the order in which the partitions first appear; rows keep their order.
 * Throws `invalid-argument` when a value does not fit its column.
 */
export function writeDataFiles(rows: readonly Row[], options: DataFileOptions): DataFile[] {
  const { schema, columns, spec, uuid } = options
  return partitionRows(rows, partitionSources(spec, schema)).map(({ values, rows }) => ({
    ...writeParquet(columns, rows),
    key: ['data', partitionPath(values, spec), `${uuid()}.parquet`].filter((part) => part !== '').join('/'),
    partition: values,
  }))
}

function partitionRows(rows: readonly Row[], sources: readonly PartitionSource[]): Partition[] {
  const partitions = new Map<string, Partition>()
  let last: Partition | undefined
  for (const row of rows) {
    const values = partitionOf(row, sources)
    // Neighbours are often of one partition.
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
