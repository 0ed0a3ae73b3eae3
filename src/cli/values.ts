// How values are shown, whichever command prints them: a time as ISO 8601 in UTC, an integer as a number if that is
// exact, and a control character as its escape.

export function exactNumber(value: bigint): number | undefined {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : undefined
}

/** Nanoseconds since 1970 of an RFC 3339 time, in UTC if it has no offset; nothing if a text is not such a time. */
export function parseTime(text: string): bigint | undefined {
  const parts = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)?$/i.exec(text)
  if (parts === null) return undefined
  const [, date, time, fraction = '', offset = 'Z'] = parts
  const milliseconds = Date.parse(`${date}T${time}${offset.toUpperCase()}`)
  return Number.isNaN(milliseconds) ? undefined : BigInt(milliseconds) * 1_000_000n + BigInt(fraction.padEnd(9, '0'))
}

/**
 * Shows control characters, line breaks and marks of direction as their JSON escapes: what somebody else wrote must not
 * drive the terminal, nor look like a line of ours.
 */
export function printable(text: string): string {
  return text.replaceAll(
    /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu,
    (char) => JSON_ESCAPES[char] ?? escaped(char),
  )
}

/** JSON in which nothing acts on a terminal: what JSON leaves raw is escaped as well, so the value is the same. */
export function safeJSON(value: unknown, indent?: number): string {
  return JSON.stringify(value, null, indent).replaceAll(ACTIVE_IN_JSON, escaped)
}

/**
 * A text for a CSV. No spreadsheet takes it for a formula, as one that begins with a formula's sign begins with an apostrophe
 * then; a number stays one. Control characters are shown, except tabs and line breaks, which quotes enclose.
 */
export function csvText(text: string): string {
  const shown = text.replaceAll(ACTIVE_IN_CSV, escaped)
  return /^[=+\-@\t\r\n]/.test(shown) && !NUMBER.test(shown) ? `'${shown}` : shown
}

// JSON itself escapes all below the space.
const ACTIVE_IN_JSON = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu
const ACTIVE_IN_CSV = /(?![\t\n]|\r\n)[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu
const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i

const JSON_ESCAPES: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

function escaped(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
}

/** A number with its noun: `1 event`, `2 events`. */
export function count(number: number, one: string, many: string): string {
  return `${number} ${number === 1 ? one : many}`
}
