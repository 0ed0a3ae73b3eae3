/** The form of `Date.toISOString`, with more digits if the time has any beyond milliseconds. */
export function isoTime(nanos: bigint): string {
  const rest = ((nanos % 1_000_000n) + 1_000_000n) % 1_000_000n
  const time = new Date(Number((nanos - rest) / 1_000_000n))
  // JavaScript's dates end with the year 275760, DuckDB's later.
  if (Number.isNaN(time.getTime())) return `${nanos / 1_000_000n} ms since 1970`
  const digits = String(rest).padStart(6, '0').replace(/0+$/, '')
  return time.toISOString().replace('Z', `${digits}Z`)
}
