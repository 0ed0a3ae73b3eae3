// How a table is partitioned: the partition spec, the value that each row has in it, and the folder of its file.
// Format: https://iceberg.apache.org/spec/#partitioning

import { CDCError } from '../../error.ts'
import { readValue, type Row, type Schema, type SchemaField } from './schema.ts'

export interface PartitionField {
  readonly 'source-id': number
  /** Unique over all partition specs of the table. By convention these ids start at 1000. */
  readonly 'field-id': number
  readonly name: string
  /** `identity` takes a string column, `day` a timestamptz column. */
  readonly transform: 'identity' | 'day'
}

export interface PartitionSpec {
  readonly 'spec-id': number
  readonly fields: readonly PartitionField[]
}

/** A string for `identity`, days since 1970-01-01 UTC for `day`, null if the source value is null. */
export type PartitionValue = string | number | null

/** A partition field together with the column that it is derived from. */
export interface PartitionSource {
  readonly field: PartitionField
  readonly column: SchemaField
}

const DAY_MICROS = 86_400_000_000n
const DAY_MS = 86_400_000
const SOURCE_TYPES = { identity: 'string', day: 'timestamptz' } as const

/**
 * Bytes of a key that one value may take. The type of an event may have 1,000 characters, and escaping makes each up to nine
 * times as long; R2 refuses keys above 1,024 bytes (https://developers.cloudflare.com/r2/platform/limits/), and file
 * systems, to which people copy tables, names above 255. A folder is only a hint for people: engines read the whole value
 * from the manifest. So two long values may share a folder, and nothing is lost.
 */
const PATH_VALUE_BYTES_MAX = 200

/** Makes the table's first partition spec. @throws {CDCError} `invalid-argument` if a field does not fit the schema. */
export function createPartitionSpec(schema: Schema, fields: readonly PartitionField[]): PartitionSpec {
  const spec = { 'spec-id': 0, fields }
  const ids = new Set(fields.map((field) => field['field-id']))
  const names = new Set(fields.map((field) => field.name))
  if (ids.size !== fields.length || names.size !== fields.length)
    throw invalid('two partition fields have the same id or name')
  for (const source of partitionSources(spec, schema)) checkSource(source, schema)
  return spec
}

/** Pairs each partition field with its column. @throws {CDCError} `invalid-argument` if the schema has no such column. */
export function partitionSources(spec: PartitionSpec, schema: Schema): PartitionSource[] {
  return spec.fields.map((field) => {
    const column = schema.fields.find((candidate) => candidate.id === field['source-id'])
    if (column === undefined) throw invalid(`${field.name} is made from column ${field['source-id']}, which is unknown`)
    return { field, column }
  })
}

/** Whether rows can be divided by a spec of anybody's. */
export function isWritable(spec: PartitionSpec, schema: Schema): boolean {
  const types: Readonly<Record<string, string>> = SOURCE_TYPES
  return spec.fields.every((field) => {
    const column = schema.fields.find((candidate) => candidate.id === field['source-id'])
    return column !== undefined && types[field.transform] === column.type
  })
}

/** A partition field becomes a field in Avro, which restricts names, and may have the name of no column but its own. */
function checkSource({ field, column }: PartitionSource, schema: Schema): void {
  if (!/^[A-Za-z_]\w*$/.test(field.name)) throw invalid(`${field.name} must be a name of letters, digits and _`)
  if (column.type !== SOURCE_TYPES[field.transform])
    throw invalid(`${field.name} is ${field.transform}(${column.type}), it takes ${SOURCE_TYPES[field.transform]}`)
  const namesake = schema.fields.find((candidate) => candidate.name === field.name)
  if (namesake !== undefined && (namesake.id !== column.id || field.transform !== 'identity'))
    throw invalid(`${field.name} is also the name of a column`)
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

/** Iceberg's Java library writes a null value as `null`, and so may a text: again, a folder is only a hint. */
function pathValue(value: PartitionValue): string {
  if (value === null) return 'null'
  return typeof value === 'number' ? isoDay(value) : escapedPrefix(value)
}

function isoDay(days: number): string {
  return new Date(days * DAY_MS).toISOString().replace(/T.*/, '')
}

/** Escapes whole characters, so that no surrogate pair and no escape sequence is divided. */
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
