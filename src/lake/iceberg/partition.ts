/**
 * How a table is partitioned: the partition spec, the value that each row has in it, and the folder it goes to.
 *
 * Format: https://iceberg.apache.org/spec/#partitioning
 */
import { CDCError } from '../../error.ts'
import { readValue } from './schema.ts'
import type { Row, Schema, SchemaField } from './schema.ts'

/** `identity` takes a string column, `day` a timestamptz column. */
export type PartitionField = {
  'source-id': number
  /** Unique over all partition specs of the table. By convention these ids start at 1000. */
  'field-id': number
  name: string
  transform: 'identity' | 'day'
}

export type PartitionSpec = { 'spec-id': number; fields: PartitionField[] }

/** A string for `identity`, days since 1970-01-01 UTC for `day`, null where the source value is null. */
export type PartitionValue = string | number | null

/** A partition field together with the column that it is derived from. */
export type PartitionSource = { field: PartitionField; column: SchemaField }

const DAY_MICROS = 86_400_000_000n
const DAY_MS = 86_400_000
const SOURCE_TYPES = { identity: 'string', day: 'timestamptz' } as const

/**
 * The most bytes that one value takes in a key. Types of events may have 1,000 characters, which grow ninefold when
 * they are escaped, and R2 refuses keys above 1,024 bytes (https://developers.cloudflare.com/r2/platform/limits/);
 * file systems, to which people copy tables, refuse names above 255. A folder is only a hint for people: engines
 * read the value, in full, from the manifest. So two long values may share a folder, and nothing is lost.
 */
const PATH_VALUE_BYTES_MAX = 200

/** Makes the table's first partition spec. Throws `invalid-argument` where a field does not fit the schema. */
export function createPartitionSpec(schema: Schema, fields: readonly PartitionField[]): PartitionSpec {
  const spec = { 'spec-id': 0, fields: [...fields] }
  const ids = new Set(fields.map((field) => field['field-id']))
  const names = new Set(fields.map((field) => field.name))
  if (ids.size !== fields.length || names.size !== fields.length) {
    throw invalid('two partition fields have the same id or name')
  }
  for (const source of partitionSources(spec, schema)) checkSource(source, schema)
  return spec
}

/** Pairs each partition field with its column. Throws `invalid-argument` when the schema has no such column. */
export function partitionSources(spec: PartitionSpec, schema: Schema): PartitionSource[] {
  return spec.fields.map((field) => {
    const column = schema.fields.find((candidate) => candidate.id === field['source-id'])
    if (column === undefined) throw invalid(`${field.name} is made from column ${field['source-id']}, which is unknown`)
    return { field, column }
  })
}

/** A partition field becomes a field in Avro, whose names are restricted, and may shadow only its own column. */
function checkSource({ field, column }: PartitionSource, schema: Schema): void {
  if (!/^[A-Za-z_]\w*$/.test(field.name)) throw invalid(`${field.name} must be a name of letters, digits and _`)
  if (column.type !== SOURCE_TYPES[field.transform]) {
    throw invalid(`${field.name} is ${field.transform}(${column.type}), it takes ${SOURCE_TYPES[field.transform]}`)
  }
  const namesake = schema.fields.find((candidate) => candidate.name === field.name)
  if (namesake !== undefined && (namesake.id !== column.id || field.transform !== 'identity')) {
    throw invalid(`${field.name} is also the name of a column`)
  }
}

/** The partition that a row belongs to: one value per partition field, in the order of the spec. */
export function partitionOf(row: Row, sources: readonly PartitionSource[]): PartitionValue[] {
  return sources.map(({ column }) => {
    const value = readValue(column, row)
    return typeof value === 'bigint' ? dayOf(value) : value
  })
}

/** Days since 1970, rounded down: BigInt division alone would put the day before 1970 on 1970-01-01. */
function dayOf(micros: bigint): number {
  const days = micros / DAY_MICROS
  return Number(micros % DAY_MICROS < 0n ? days - 1n : days)
}

/** Where the files of a partition lie below `data/`: `type=Customer.created/dt=2026-11-22`, empty if unpartitioned. */
export function partitionPath(values: readonly PartitionValue[], spec: PartitionSpec): string {
  return spec.fields.map((field, index) => `${field.name}=${pathValue(values[index] ?? null)}`).join('/')
}

/** Iceberg's Java library spells a null value `null`, which text may spell as well: again, a folder is a hint. */
function pathValue(value: PartitionValue): string {
  if (value === null) return 'null'
  return typeof value === 'number' ? isoDay(value) : escapedPrefix(value)
}

function isoDay(days: number): string {
  return new Date(days * DAY_MS).toISOString().replace(/T.*/, '')
}

/** Escapes whole characters, so that neither a surrogate pair nor an escape sequence is cut in two. */
function escapedPrefix(text: string): string {
  let path = ''
  for (const character of text) {
    const escaped = encodeURIComponent(character)
    if (path.length + escaped.length > PATH_VALUE_BYTES_MAX) return path
    path += escaped
  }
  return path
}

function invalid(problem: string): CDCError {
  return new CDCError('invalid-argument', `createPartitionSpec: ${problem}`)
}
