// The ns that a sender may write to. Names are compared code unit by code unit. Nothing is decoded, folded or normalised, so
// what was checked is what is stored.

import { NAME_LENGTH_MAX } from './limits.ts'

/**
 * Whether a text is a pattern: `*` alone, a name, or the beginning of names with `*` right after a `.` or a `/`, such as
 * `acme.*`.
 */
export function isNsPattern(pattern: string): boolean {
  if (pattern === '*') return true
  if (pattern.length > NAME_LENGTH_MAX) return false
  const name = /[./]\*$/.test(pattern) ? `${pattern.slice(0, -1)}x` : pattern
  return !name.includes('*') && isPlainPath(name)
}

/** Whether one of the patterns covers an ns. A text that is not a pattern covers nothing. */
export function coversNs(patterns: readonly string[], ns: string): boolean {
  return isPlainPath(ns) && patterns.some((pattern) => isNsPattern(pattern) && covers(pattern, ns))
}

function covers(pattern: string, ns: string): boolean {
  if (!pattern.endsWith('*')) return ns === pattern
  return ns.length >= pattern.length && ns.startsWith(pattern.slice(0, -1))
}

/** Whether a name means the same if somebody takes it for a path. */
function isPlainPath(name: string): boolean {
  return name.split('/').every((segment) => segment !== '' && segment !== '.' && segment !== '..')
}
