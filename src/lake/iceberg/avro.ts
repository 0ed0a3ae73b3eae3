// Writes Avro Object Container Files, as far as Iceberg's manifests need them: records of booleans, ints, longs, strings,
// bytes, arrays and optional values, in one uncompressed block. (The npm package avsc compiles its encoders from strings of
// code, which workerd forbids.) Format: https://avro.apache.org/docs/1.12.0/specification/#object-container-files

import { ByteWriter } from 'hyparquet-writer'
import { CDCError } from '../../error.ts'

export type AvroPrimitive = 'boolean' | 'int' | 'long' | 'string' | 'bytes'

/** `['null', T]` is the one kind of union that Iceberg allows: an optional T. */
export type AvroSchema = AvroPrimitive | AvroLogicalType | AvroArray | AvroRecord | ['null', AvroSchema]

interface AvroLogicalType {
  readonly type: AvroPrimitive
  readonly logicalType: string
}

export interface AvroArray {
  readonly type: 'array'
  readonly items: AvroSchema
  /** Iceberg's id of the list element. */
  readonly 'element-id'?: number
  /** Marks an array of key and value records. */
  readonly logicalType?: 'map'
}

export interface AvroField {
  readonly name: string
  readonly type: AvroSchema
  readonly default?: null
  /** Iceberg's id. Avro allows attributes that it does not know. */
  readonly 'field-id'?: number
}

export interface AvroRecord {
  readonly type: 'record'
  readonly name: string
  readonly fields: readonly AvroField[]
}

/** A long may be a number as long as it is exact. */
export type AvroValue = null | boolean | number | bigint | string | Uint8Array | AvroValue[] | AvroRecordValue

/** Optional fields may be left out. */
export interface AvroRecordValue {
  [field: string]: AvroValue | undefined
}

const MAGIC = Uint8Array.of(0x4f, 0x62, 0x6a, 0x01) // 'Obj' and the version
const SYNC_BYTES = 16
const LIMITS = { int: 31n, long: 63n }
const encoder = new TextEncoder()

/**
 * Encodes records as an Avro file.
 *
 * @param metadata goes into the header, beside `avro.schema` and `avro.codec`.
 * @param sync the file's marker: 16 random bytes by which readers find the end of a block.
 * @throws {CDCError} `invalid-argument` if a value does not fit the schema; the message names the field.
 */
export function writeAvroFile(
  schema: AvroRecord,
  records: readonly AvroRecordValue[],
  metadata: Readonly<Record<string, string>>,
  sync: Uint8Array,
): Uint8Array {
  if (sync.length !== SYNC_BYTES) throw invalid(`the sync marker has ${sync.length} bytes, it must have ${SYNC_BYTES}`)
  const out = new ByteWriter()
  out.appendBytes(MAGIC)
  writeHeader(out, { 'avro.schema': JSON.stringify(schema), 'avro.codec': 'null', ...metadata })
  out.appendBytes(sync)
  if (records.length > 0) writeBlock(out, schema, records)
  if (records.length > 0) out.appendBytes(sync)
  return out.getBytes()
}

/** The header's metadata is an Avro map of bytes: one block of entries, then an empty block. */
function writeHeader(out: ByteWriter, metadata: Readonly<Record<string, string>>): void {
  const entries = Object.entries(metadata)
  writeLong(out, entries.length)
  for (const [key, value] of entries) {
    writeBytes(out, encoder.encode(key))
    writeBytes(out, encoder.encode(value))
  }
  writeLong(out, 0)
}

function writeBlock(out: ByteWriter, schema: AvroRecord, records: readonly AvroRecordValue[]): void {
  const block = new ByteWriter()
  for (const record of records) writeRecord(block, schema, record, schema.name)
  writeLong(out, records.length)
  writeBytes(out, block.getBytes())
}

/** `path` names the value in errors: `manifest_entry.data_file.record_count`. */
function writeValue(out: ByteWriter, schema: AvroSchema, value: AvroValue | undefined, path: string): void {
  if (Array.isArray(schema)) return writeOptional(out, schema[1], value, path)
  if (typeof schema === 'string') return writePrimitive(out, schema, value, path)
  if (schema.type === 'array') return writeArray(out, schema, value, path)
  if (schema.type === 'record') return writeRecord(out, schema, value, path)
  return writePrimitive(out, schema.type, value, path)
}

/** A union is the index of its branch and then the value; null is branch 0 and has no bytes. */
function writeOptional(out: ByteWriter, schema: AvroSchema, value: AvroValue | undefined, path: string): void {
  const isNull = value === null || value === undefined
  writeLong(out, isNull ? 0 : 1)
  if (!isNull) writeValue(out, schema, value, path)
}

function writeArray(out: ByteWriter, schema: AvroArray, value: AvroValue | undefined, path: string): void {
  if (!Array.isArray(value)) throw mismatch('array', value, path)
  if (value.length > 0) writeLong(out, value.length)
  for (const item of value) writeValue(out, schema.items, item, path)
  writeLong(out, 0)
}

function writeRecord(out: ByteWriter, schema: AvroRecord, value: AvroValue | undefined, path: string): void {
  if (!isRecord(value)) throw mismatch(schema.name, value, path)
  for (const field of schema.fields) writeValue(out, field.type, value[field.name], `${path}.${field.name}`)
}

function isRecord(value: AvroValue | undefined): value is AvroRecordValue {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)
}

function writePrimitive(out: ByteWriter, type: AvroPrimitive, value: AvroValue | undefined, path: string): void {
  if (type === 'boolean' && typeof value === 'boolean') out.appendUint8(value ? 1 : 0)
  else if (type === 'string' && typeof value === 'string') writeBytes(out, encoder.encode(value))
  else if (type === 'bytes' && value instanceof Uint8Array) writeBytes(out, value)
  else if ((type === 'int' || type === 'long') && isInteger(value, LIMITS[type])) writeLong(out, value)
  else throw mismatch(type, value, path)
}

/** Whether `value` is an exact integer of that many bits and a sign. */
function isInteger(value: AvroValue | undefined, bits: bigint): value is number | bigint {
  if (typeof value !== 'bigint' && !(typeof value === 'number' && Number.isSafeInteger(value))) return false
  return BigInt(value) >> bits === 0n || BigInt(value) >> bits === -1n
}

function writeBytes(out: ByteWriter, bytes: Uint8Array): void {
  writeLong(out, bytes.length)
  out.appendBytes(bytes)
}

/** Ints and longs share one encoding: zigzag, then a varint. ByteWriter's path for numbers has 32 bits only. */
function writeLong(out: ByteWriter, value: number | bigint): void {
  out.appendZigZag(BigInt(value))
}

function mismatch(expected: string, value: unknown, path: string): CDCError {
  const found = typeof value === 'number' || typeof value === 'bigint' ? value : value === null ? 'null' : typeof value
  return invalid(`${path} takes ${expected}, not ${found}`)
}

function invalid(problem: string): CDCError {
  return new CDCError('invalid-argument', `writeAvroFile: ${problem}`)
}
