// What a statement may do to captured tables, told from its text: too much rather than too little.

export interface StatementKind {
  /** Whether it may fire a trigger of ours. */
  readonly mayWrite: boolean
  /** Whether it may change a table's columns, or take its triggers away. */
  readonly changesSchema: boolean
  /** Whether it is one `ALTER` of such a table, for which the triggers must be out of the way. */
  readonly isAlter: boolean
}

const COMMENTS = /^(?:\s+|--[^\n]*(?:\n|$)|\/\*[^]*?\*\/)+/
const READS = /^(?:SELECT|VALUES|PRAGMA|EXPLAIN)\b/i

/** @param watched names, in lower case, of the tables to which a write may fire a trigger. */
export function classify(query: string, watched: readonly string[]): StatementKind {
  const text = query.replace(COMMENTS, '')
  // Of several statements in one text, any may be any.
  const isOne = !/;\s*\S/.test(text)
  const lower = text.toLowerCase()
  const mentionsWatched = watched.some((name) => lower.includes(name.replaceAll('"', '""')))
  const isRead = isOne && READS.test(text)
  return {
    mayWrite: !isRead && mentionsWatched,
    changesSchema: !isRead && (isOne ? /^(?:ALTER|CREATE|DROP)\b/i : /\b(?:ALTER|CREATE|DROP)\b/i).test(text),
    isAlter: isOne && mentionsWatched && /^ALTER\b/i.test(text),
  }
}
