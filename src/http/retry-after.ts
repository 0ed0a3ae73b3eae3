/** Milliseconds from now, below 0 if it is over, of a `Retry-After`: seconds or a date (RFC 9110); undefined if it is neither. */
export function parseRetryAfter(header: string, nowMs: number): number | undefined {
  const ms = /^\d+$/.test(header.trim()) ? Number(header) * 1_000 : Date.parse(header) - nowMs
  return Number.isNaN(ms) ? undefined : ms
}
