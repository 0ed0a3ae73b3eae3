// Which bytes of a file a request asks for. RFC 9110, section 14.

export interface Bytes {
  readonly offset: number
  readonly length: number
}

/**
 * The range in a `Range` header. Nothing, which means the whole file, where there is none, or none that is served: what
 * is malformed, counts in anything but bytes, or names several ranges may be ignored by the RFC, and is by S3.
 */
export function parseRange(header: string | null): R2Range | undefined {
  const [, first = '', last = ''] = /^bytes=(\d{0,15})-(\d{0,15})$/i.exec(header ?? '') ?? []
  if (first === '') return last === '' ? undefined : { suffix: Number(last) }
  const offset = Number(first)
  if (last === '') return { offset }
  const length = Number(last) - offset + 1
  return length > 0 ? { offset, length } : undefined
}

/** What a file of `size` bytes has of the range; nothing where it has none of it. */
export function bytesIn(range: R2Range, size: number): Bytes | undefined {
  if ('suffix' in range) return atLeastOne(Math.max(0, size - range.suffix), size)
  const { offset = 0, length = size } = range
  return atLeastOne(offset, Math.min(size, offset + length))
}

function atLeastOne(offset: number, end: number): Bytes | undefined {
  return offset < end ? { offset, length: end - offset } : undefined
}
