// The values of a captured row: a trigger stores them in a form that SQL can write without a loss, and here they become what
// an event shows. Only what JSON can't say is wrapped, in an object that a column has no other way to show:
//
//   stored                      shown                       what it is
//   {"$hex":"00FF"}             "AP8="                      a BLOB, in base64
//   {"$real":[m,k]}             m / 2^k                     a REAL that SQLite's own decimals would change
//   {"$json":"{\"a\":1}"}       {"a":1}                     a text in a JSON column
//                               {"$json":"…"}               … of which JavaScript would lose something, as text
//                               {"$text":"…"}               … that is not JSON
//   a text                      the text
//                               {"$base64":"…"}             … that is not UTF-8, as its bytes

import type { EventContent } from '../event/create-event.ts'
import { jsonProblem } from '../event/json.ts'
import { bytesOf, isEscaped } from '../sqlite/bytes.ts'

/** What a trigger writes beside an event's fields. */
export type CapturedContent = EventContent & { captured?: 1 }

/** Completes a captured event, in place: its hot path is the relay's. */
export function showCaptured(content: CapturedContent): void {
  delete content.captured
  if (content.key !== undefined) content.key = showKey(content.key)
  for (const row of [content.before, content.after]) if (row !== undefined) showRow(row)
}

/** A key as text that is one to one: what a name can't hold stands as the SQL of its bytes. */
export function showKey(key: string): string {
  if (!isEscaped(key)) return key
  return `CAST(X'${bytesOf(key).toHex().toUpperCase()}' AS TEXT)`
}

export function showRow(row: Record<string, unknown>): void {
  for (const column in row) {
    const value = row[column]
    if (typeof value === 'string') {
      if (isEscaped(value)) row[column] = showBytes(value)
    } else if (typeof value === 'object' && value !== null) row[column] = showWrapped(value)
  }
}

function showWrapped(value: object): unknown {
  if ('$hex' in value) return Uint8Array.fromHex(String(value.$hex)).toBase64()
  if ('$json' in value) return showJSON(String(value.$json))
  if ('$real' in value && Array.isArray(value.$real)) return realOf(Number(value.$real[0]), Number(value.$real[1]))
  return value
}

/** m / 2^k, exactly: in two steps, as 2^k alone may be beyond what a number holds. */
function realOf(mantissa: number, exponent: number): number {
  const half = Math.trunc(exponent / 2)
  return mantissa * 2 ** -half * 2 ** (half - exponent)
}

function showJSON(text: string): unknown {
  if (isEscaped(text)) return showBytes(text)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return { $text: text }
  }
  return isShownWhole(value, text) ? value : { $json: text }
}

/** Whether JavaScript has read all of a JSON text, an event can carry it, and it can't be taken for one of our own. */
function isShownWhole(value: unknown, text: string): boolean {
  // So many digits may be a number that was rounded.
  if (/\d{16}/.test(text) || jsonProblem(value, '', 1) !== undefined) return false
  if (typeof value !== 'object' || value === null) return true
  return !('$json' in value || '$text' in value || '$base64' in value)
}

function showBytes(text: string): unknown {
  return { $base64: bytesOf(text).toBase64() }
}
