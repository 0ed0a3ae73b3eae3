// Reads back what avro.ts writes, where avsc can't: it compiles its decoders from strings of code, which workerd forbids. Only
// files of this library's own manifests are read with it.

import { CDCError } from '../../error.ts'
import { isObject } from '../../event/kinds.ts'
import type { AvroRecordValue, AvroSchema, AvroValue } from './avro.ts'

const MAGIC = [0x4f, 0x62, 0x6a, 0x01]
const SYNC_BYTES = 16
const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Decodes a file's records. Integers are numbers, and must be exact as such.
 *
 * @param name the file's, for the error.
 * @throws {CDCError} `table-damaged` for anything that is not such a file, whole.
 */
export function readAvroFile(name: string, bytes: Uint8Array): AvroRecordValue[] {
  try {
    return [...recordsIn(new Cursor(bytes))]
  } catch (cause) {
    throw new CDCError('table-damaged', `lake: ${name} is not an Avro file that can be read`, { cause })
  }
}

function* recordsIn(cursor: Cursor): Iterable<AvroRecordValue> {
  if (MAGIC.some((byte) => cursor.byte() !== byte)) throw new Error('it does not begin like one')
  const header = readHeader(cursor)
  // What was written by writeAvroFile, which knows no other schemas.
  const schema = JSON.parse(header.get('avro.schema') ?? 'null') as AvroSchema
  if (header.get('avro.codec') !== 'null') throw new Error('its codec is not known')
  const sync = cursor.take(SYNC_BYTES)
  while (!cursor.isAtEnd) {
    const count = cursor.long()
    const block = new Cursor(cursor.take(cursor.long()))
    for (let index = 0; index < count; index += 1) {
      const record = readValue(block, schema)
      if (!isObject(record)) throw new Error('it holds something else than records')
      yield record
    }
    const marker = cursor.take(SYNC_BYTES)
    if (!block.isAtEnd || marker.some((byte, index) => byte !== sync[index])) throw new Error('a block does not end')
  }
}

function readHeader(cursor: Cursor): Map<string, string> {
  const header = new Map<string, string>()
  for (let count = cursor.long(); count !== 0; count = cursor.long())
    for (let index = 0; index < count; index += 1) header.set(text.decode(cursor.bytes()), text.decode(cursor.bytes()))
  return header
}

function readValue(cursor: Cursor, schema: AvroSchema): AvroValue {
  if (Array.isArray(schema)) return cursor.long() === 0 ? null : readValue(cursor, schema[1])
  if (typeof schema === 'object' && schema.type === 'array') return readArray(cursor, schema.items)
  if (typeof schema === 'object' && schema.type === 'record')
    return Object.fromEntries(schema.fields.map((field) => [field.name, readValue(cursor, field.type)]))
  switch (typeof schema === 'string' ? schema : schema.type) {
    case 'boolean':
      return cursor.byte() === 1
    case 'int':
    case 'long':
      return cursor.long()
    case 'string':
      return text.decode(cursor.bytes())
    case 'bytes':
      return cursor.bytes()
    default:
      throw new Error('its schema is not one of ours')
  }
}

function readArray(cursor: Cursor, items: AvroSchema): AvroValue[] {
  const values: AvroValue[] = []
  for (let count = cursor.long(); count !== 0; count = cursor.long())
    for (let index = 0; index < count; index += 1) values.push(readValue(cursor, items))
  return values
}

/** Reads from the front. Throws at the end of the bytes. */
class Cursor {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length
  }

  byte(): number {
    const byte = this.#bytes[this.#at]
    if (byte === undefined) throw new Error('it ends too early')
    this.#at += 1
    return byte
  }

  take(length: number): Uint8Array {
    const taken = this.#bytes.slice(this.#at, this.#at + length)
    if (length < 0 || taken.length < length) throw new Error('it ends too early')
    this.#at += length
    return taken
  }

  bytes(): Uint8Array {
    return this.take(this.long())
  }

  /** A varint, zigzag. */
  long(): number {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.byte()
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) break
      if (shift > 56n) throw new Error('a number is too long')
    }
    const number = Number((value >> 1n) ^ -(value & 1n))
    if (!Number.isSafeInteger(number)) throw new Error('a number is too large')
    return number
  }
}
