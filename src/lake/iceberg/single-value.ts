// Iceberg's binary form of a single value, in which manifests keep bounds.
// Format: https://iceberg.apache.org/spec/#binary-single-value-serialization

import type { Bounded } from './bounds.ts'

const encoder = new TextEncoder()

/**
 * Encodes a value by its JavaScript type: a string as a `string` (UTF-8 without a length), a number as a `date` (days since
 * 1970, 4 bytes little-endian), a bigint as a `long` or `timestamptz` (8 bytes little-endian).
 */
export function encodeSingleValue(value: Bounded): Uint8Array {
  if (typeof value === 'string') return encoder.encode(value)
  if (typeof value === 'number') return encodeInt(value)
  return encodeLong(value)
}

function encodeInt(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setInt32(0, value, true)
  return bytes
}

function encodeLong(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigInt64(0, value, true)
  return bytes
}
