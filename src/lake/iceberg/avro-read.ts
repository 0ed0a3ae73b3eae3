// Reads Avro Object Container Files of any writer. (The npm package avsc compiles its decoders from strings of code, which workerd
// forbids, and refuses a long above 2^53, which ids of snapshots are.) Format: https://avro.apache.org/docs/1.12.0/specification/

import { inflateRawSync, zstdDecompressSync } from 'node:zlib'
import { CDCError } from '../../error.ts'
import { parseJSON } from '../../event/json.ts'
import { isObject } from '../../event/kinds.ts'
import type { AvroRecordValue, AvroValue } from './avro.ts'

const MAGIC = [0x4f, 0x62, 0x6a, 0x01]
const SYNC_BYTES = 16
const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** How blocks are compressed. Iceberg's own library compresses manifests by default, with deflate. */
const CODECS: Readonly<Record<string, (block: Uint8Array) => Uint8Array>> = {
  null: (block) => block,
  deflate: (block) => new Uint8Array(inflateRawSync(block)),
  zstandard: (block) => new Uint8Array(zstdDecompressSync(block)),
}

/**
 * Decodes a file's records. An integer is a number, or a bigint if it is not exact as a number.
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
  const codec = header.get('avro.codec') ?? 'null'
  const decompress = CODECS[codec]
  if (decompress === undefined) throw new Error(`its codec ${codec} is not known`)
  const read = readerOf(parseJSON(header.get('avro.schema') ?? ''), new Map())
  const sync = cursor.take(SYNC_BYTES)
  while (!cursor.isAtEnd) {
    const count = cursor.size()
    const block = new Cursor(decompress(cursor.bytes()))
    for (let index = 0; index < count; index += 1) {
      const record = read(block)
      if (!isRecordValue(record)) throw new Error('it holds something else than records')
      yield record
    }
    const marker = cursor.take(SYNC_BYTES)
    if (!block.isAtEnd || marker.some((byte, index) => byte !== sync[index])) throw new Error('a block does not end')
  }
}

function readHeader(cursor: Cursor): Map<string, string> {
  const header = new Map<string, string>()
  for (const [name, value] of itemsOf(cursor, (from) => [text.decode(from.bytes()), from.bytes()] as const))
    header.set(name, text.decode(value))
  return header
}

type Reader = (cursor: Cursor) => AvroValue

const PRIMITIVES: Readonly<Record<string, Reader>> = {
  null: () => null,
  boolean: (cursor) => cursor.byte() === 1,
  int: (cursor) => cursor.long(),
  long: (cursor) => cursor.long(),
  float: (cursor) => cursor.view(4).getFloat32(0, true),
  double: (cursor) => cursor.view(8).getFloat64(0, true),
  string: (cursor) => text.decode(cursor.bytes()),
  bytes: (cursor) => cursor.bytes(),
}

/**
 * Makes the reader of a schema, which is JSON of anybody's.
 *
 * @param named the types that have a name so far: a schema may refer to one by it.
 */
function readerOf(schema: unknown, named: Map<string, Reader>): Reader {
  if (Array.isArray(schema)) {
    const branches = schema.map((branch) => readerOf(branch, named))
    return (cursor) => at(branches, cursor.size())(cursor)
  }
  if (typeof schema === 'string') return known(PRIMITIVES[schema] ?? named.get(schema), schema)
  if (!isObject(schema)) throw new Error('it has no schema')
  const reader = readerOfObject(schema, named)
  if (typeof schema['name'] === 'string') named.set(schema['name'], reader)
  return reader
}

function readerOfObject(schema: Record<string, unknown>, named: Map<string, Reader>): Reader {
  const { type } = schema
  switch (type) {
    case 'record': {
      const fields = listOf(schema['fields']).map((field) => {
        if (!isObject(field)) throw new Error('a field of its schema is no object')
        return { name: String(field['name']), read: readerOf(field['type'], named) }
      })
      return (cursor) => Object.fromEntries(fields.map(({ name, read }) => [name, read(cursor)]))
    }
    case 'array': {
      const read = readerOf(schema['items'], named)
      return (cursor) => itemsOf(cursor, read)
    }
    case 'map': {
      const read = readerOf(schema['values'], named)
      return (cursor) => Object.fromEntries(itemsOf(cursor, (from) => [text.decode(from.bytes()), read(from)] as const))
    }
    case 'enum': {
      const symbols = listOf(schema['symbols']).map(String)
      return (cursor) => at(symbols, cursor.size())
    }
    case 'fixed': {
      const size = Number(schema['size'])
      return (cursor) => cursor.take(size)
    }
    default:
      return readerOf(type, named)
  }
}

/** The items of an array or a map, which come in blocks. A negative count is followed by the block's size in bytes. */
function itemsOf<Item>(cursor: Cursor, read: (cursor: Cursor) => Item): Item[] {
  const items: Item[] = []
  for (let count = cursor.number(); count !== 0; count = cursor.number()) {
    if (count < 0) cursor.number()
    for (let index = 0; index < Math.abs(count); index += 1) items.push(read(cursor))
  }
  return items
}

function listOf(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new Error('a list in its schema is missing')
  return value
}

function known(reader: Reader | undefined, name: string): Reader {
  if (reader === undefined) throw new Error(`its type ${name} is not known`)
  return reader
}

function at<Item>(items: readonly Item[], index: number): Item {
  const item = items[index]
  if (item === undefined) throw new Error('a choice of it does not exist')
  return item
}

function isRecordValue(value: AvroValue): value is AvroRecordValue {
  return isObject(value) && !(value instanceof Uint8Array)
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

  view(length: number): DataView {
    const { buffer, byteOffset } = this.take(length)
    return new DataView(buffer, byteOffset, length)
  }

  bytes(): Uint8Array {
    return this.take(this.size())
  }

  /** How many there are of something, or which of them. */
  size(): number {
    const size = this.number()
    if (size < 0) throw new Error('a size is below 0')
    return size
  }

  number(): number {
    const value = this.long()
    if (typeof value === 'bigint') throw new Error('a number is too large')
    return value
  }

  /** A varint, zigzag. */
  long(): number | bigint {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.byte()
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) break
      if (shift > 56n) throw new Error('a number is too long')
    }
    const long = (value >> 1n) ^ -(value & 1n)
    return Number.isSafeInteger(Number(long)) ? Number(long) : long
  }
}
