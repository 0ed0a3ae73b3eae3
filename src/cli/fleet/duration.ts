import { usage } from '../command.ts'

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, min: 60_000, h: 3_600_000, d: 86_400_000 }

/** Reads a time with its unit, such as `60s`. @returns milliseconds. @throws {CDCError} `invalid-argument`. */
export function parseDuration(option: string, text: string): number {
  const [, number, unit = ''] = /^(\d{1,9})(ms|s|min|h|d)$/.exec(text) ?? []
  const factor = UNITS[unit]
  if (number === undefined || factor === undefined)
    throw usage(`${option} is a number with a unit, such as 500ms, 60s, 5min, 2h or 1d, not "${text}"`)
  return Number(number) * factor
}
