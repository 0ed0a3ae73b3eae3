// Rows to Parquet as Iceberg requires it, with field ids on the columns, and back; and the metrics of each column for the
// manifest. Format: https://iceberg.apache.org/spec/#parquet

import { gunzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { parquetReadObjects } from 'hyparquet'
import { ByteWriter, ParquetWriter, type SchemaElement } from 'hyparquet-writer'
import { type Bounds, boundsOf } from './bounds.ts'
import { type Column, type ColumnType, readValue, type Row, type Value } from './schema.ts'

export interface ParquetFile {
  readonly bytes: Uint8Array
  readonly rowCount: number
  readonly columns: readonly ColumnMetrics[]
  /** Where each row group begins in the file, in bytes: engines split their work there. */
  readonly splitOffsets: number[]
}

export interface ColumnMetrics {
  readonly columnId: number
  /** Size of the column's pages in the file, compressed. */
  readonly sizeBytes: number
  /** How many values there are, nulls included. */
  readonly valueCount: number
  readonly nullCount: number
  /** Missing if all values are null, or if the column keeps no bounds. */
  readonly bounds?: Bounds<string | bigint>
}

const ROWS_PER_GROUP = 100_000

const PHYSICAL_TYPES: Record<ColumnType, Pick<SchemaElement, 'type' | 'converted_type' | 'logical_type'>> = {
  string: { type: 'BYTE_ARRAY', converted_type: 'UTF8', logical_type: { type: 'STRING' } },
  long: { type: 'INT64' },
  timestamptz: {
    type: 'INT64',
    converted_type: 'TIMESTAMP_MICROS',
    logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MICROS' },
  },
}

/** Writes rows as one Parquet file. @throws {CDCError} `invalid-argument` if a value does not fit its column. */
export function writeParquet(columns: readonly Column[], rows: readonly Row[]): ParquetFile {
  const values = columns.map((column) => rows.map((row) => readValue(column, row)))
  const out = new ByteWriter()
  const writer = new ParquetWriter({
    writer: out,
    schema: parquetSchema(columns),
    codec: 'ZSTD',
    // Engines in Java ignore the statistics of a writer whose version they cannot read.
    createdBy: 'hyparquet-writer version 0.17.0',
    compressors: { ZSTD: zstdCompressSync },
  })
  const columnData = columns.map(({ name, bounds }, i) => ({ name, data: values[i] ?? [], statistics: bounds ?? true }))
  // There is nothing to await: the two return promises only if the writer's flush does.
  void writer.write({ columnData, rowGroupSize: ROWS_PER_GROUP })
  // Other writers store where a row group begins, and readers of the JVM split files by it; hyparquet-writer leaves it out.
  for (const group of writer.row_groups) group.file_offset = group.columns[0]?.file_offset ?? 0n
  void writer.finish()
  return {
    bytes: out.getBytes(),
    rowCount: rows.length,
    columns: columns.map((column, i) => columnMetrics(column, values[i] ?? [], columnSize(writer, i))),
    splitOffsets: writer.row_groups.map(({ file_offset }) => Number(file_offset)),
  }
}

/** Reads the rows of a file, all columns or some, with the values as `writeParquet` takes them. Another writer may have made it. */
export async function readParquet(file: ArrayBuffer, columns?: readonly string[]): Promise<Row[]> {
  const rows = await parquetReadObjects({
    file,
    ...(columns && { columns: [...columns] }),
    compressors: {
      ZSTD: (page) => new Uint8Array(zstdDecompressSync(page)),
      GZIP: (page) => new Uint8Array(gunzipSync(page)),
    },
    // As they are stored: a Date would lose the microseconds.
    parsers: { timestampFromMicroseconds: (micros) => micros },
  })
  return rows as Row[]
}

function parquetSchema(columns: readonly Column[]): SchemaElement[] {
  const root: SchemaElement = { name: 'table', num_children: columns.length }
  return [root, ...columns.map(schemaElement)]
}

function schemaElement({ id, name, type, required }: Column): SchemaElement {
  return { name, field_id: id, repetition_type: required ? 'REQUIRED' : 'OPTIONAL', ...PHYSICAL_TYPES[type] }
}

function columnSize(writer: ParquetWriter, index: number): number {
  const sizes = writer.row_groups.map((group) => group.columns[index]?.meta_data?.total_compressed_size ?? 0n)
  return sizes.reduce((total, size) => total + Number(size), 0)
}

function columnMetrics(column: Column, values: readonly Value[], sizeBytes: number): ColumnMetrics {
  const bounds = column.bounds === false ? undefined : boundsOf(values)
  return {
    columnId: column.id,
    sizeBytes,
    valueCount: values.length,
    nullCount: values.filter((value) => value === null).length,
    ...(bounds && { bounds }),
  }
}
