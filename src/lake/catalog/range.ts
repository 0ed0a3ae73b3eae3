// Which bytes of a file a request asks for. RFC 9110, section 14.

export interface Bytes {
  readonly offset: number
  readonly length: number
}

/**
 * Parses a `Range` header. Nothing, which means the whole file, if there is none, or none that is served: a header that is
 * malformed, has another unit than bytes, or names several ranges may be ignored by the RFC, and S3 ignores it.
 */
export function parseRange(header: string | null): R2Range | undefined {
  const [, first = '', last = ''] = /^bytes=(\d{0,15})-(\d{0,15})$/i.exec(header ?? '') ?? []
  if (first === '') return last === '' ? undefined : { suffix: Number(last) }
  const offset = Number(first)
  if (last === '') return { offset }
  const length = Number(last) - offset + 1
  return length > 0 ? { offset, length } : undefined
}

/** The bytes of the range that a file of `size` bytes has; nothing if it has none. */
export function bytesIn(range: R2Range, size: number): Bytes | undefined {
  if ('suffix' in range) return atLeastOne(Math.max(0, size - range.suffix), size)
  const { offset = 0, length = size } = range
  return atLeastOne(offset, Math.min(size, offset + length))
}

function atLeastOne(offset: number, end: number): Bytes | undefined {
  return offset < end ? { offset, length: end - offset } : undefined
}
