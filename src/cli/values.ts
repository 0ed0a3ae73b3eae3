// How values are shown, wherever they were asked for: a time as ISO 8601 in UTC, an integer as a number where that is
// exact.

export function exactNumber(value: bigint): number | undefined {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : undefined
}

/** The form of `Date.toISOString`, with as many more digits as the time has beyond milliseconds. */
export function isoTime(nanos: bigint): string {
  const rest = ((nanos % 1_000_000n) + 1_000_000n) % 1_000_000n
  const time = new Date(Number((nanos - rest) / 1_000_000n))
  // JavaScript's dates end with the year 275760, DuckDB's go on for longer.
  if (Number.isNaN(time.getTime())) return `${nanos / 1_000_000n} ms since 1970`
  const digits = String(rest).padStart(6, '0').replace(/0+$/, '')
  return time.toISOString().replace('Z', `${digits}Z`)
}

/** Nanoseconds since 1970 of an RFC 3339 time; without an offset it is in UTC. Nothing where a text is no such time. */
export function parseTime(text: string): bigint | undefined {
  const parts = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)?$/i.exec(text)
  if (parts === null) return undefined
  const [, date, time, fraction = '', offset = 'Z'] = parts
  const milliseconds = Date.parse(`${date}T${time}${offset.toUpperCase()}`)
  return Number.isNaN(milliseconds) ? undefined : BigInt(milliseconds) * 1_000_000n + BigInt(fraction.padEnd(9, '0'))
}
