// SQL as the words and marks that it consists of: enough to see which tables a query names and where it has parameters,
// and never to take a text, a quoted name or a comment for either. What the SQL means is for the engine that runs it.

import { CDCError } from '../error.ts'

type Kind = 'space' | 'comment' | 'text' | 'quoted' | 'word' | 'number' | 'mark'

/** A piece of SQL as it is written. The pieces of a text are all of it. */
interface Piece {
  readonly kind: Kind
  readonly text: string
  readonly start: number
}

/** A piece that means something to the engine. */
export interface Token {
  readonly kind: Exclude<Kind, 'space' | 'comment'>
  /** As it is written, except that a word is in lower case and a quoted name has no quotes. */
  readonly text: string
  /** Where in the SQL it starts and ends. */
  readonly start: number
  readonly end: number
  /** How many parentheses are open around it. */
  readonly depth: number
  /** What makes it a parameter: a comment before it, `/* :name *\/`, which starts there. */
  readonly parameter?: { readonly name: string; readonly start: number }
}

const PIECE =
  /(?<space>\s+)|(?<comment>--.*|\/\*[^]*?\*\/)|(?<text>'(?:[^']|'')*')|(?<quoted>"(?:[^"]|"")*")|(?<word>[\p{L}_][\p{L}\p{N}_$]*)|(?<number>\d[\d._]*)|(?<mark>->>|->|::|[^])/gu
const PARAMETER = /^\/\*\s*:(\w+)\s*\*\/$/

function* piecesOf(sql: string): Generator<Piece> {
  for (const { 0: text, groups = {}, index } of sql.matchAll(PIECE))
    for (const kind in groups) if (groups[kind] !== undefined) yield { kind: kind as Kind, text, start: index }
}

export function tokensOf(sql: string): Token[] {
  const tokens: Token[] = []
  let depth = 0
  let parameter: Token['parameter']
  for (const { kind, text, start } of piecesOf(sql)) {
    if (kind === 'comment') parameter = parameterOf(text, start)
    if (kind === 'space' || kind === 'comment') continue
    if (text === ')') depth -= 1
    const end = start + text.length
    tokens.push({ kind, text: nameOf(kind, text), start, end, depth, ...(parameter !== undefined && { parameter }) })
    if (text === '(') depth += 1
    parameter = undefined
  }
  return tokens
}

function parameterOf(comment: string, start: number): Token['parameter'] {
  const name = PARAMETER.exec(comment)?.[1]
  return name === undefined ? undefined : { name, start }
}

function nameOf(kind: Kind, text: string): string {
  if (kind === 'word') return text.toLowerCase()
  return kind === 'quoted' ? text.slice(1, -1).replaceAll('""', '"') : text
}

/** Whether a token is one of these keywords, given in lower case. */
export function isWord(token: Token | undefined, ...words: readonly string[]): boolean {
  return token?.kind === 'word' && words.includes(token.text)
}

export function isMark(token: Token | undefined, mark: string): boolean {
  return token?.kind === 'mark' && token.text === mark
}

/** Whether a token is this name, quoted or not. */
export function isName(token: Token | undefined, name: string): boolean {
  return (token?.kind === 'word' || token?.kind === 'quoted') && token.text === name
}

/** Whether there is nothing to run. */
export function isBlank(sql: string): boolean {
  return tokensOf(sql).every((token) => isMark(token, ';'))
}

/** Whether the last statement has its semicolon, and not inside of a text, a name or a comment that goes on. */
export function endsStatement(sql: string): boolean {
  const tokens = tokensOf(sql)
  const isOpen = tokens.some(
    ({ text, kind, end }, index) =>
      kind === 'mark' &&
      (text === "'" || text === '"' || (text === '/' && sql[end] === '*' && index < tokens.length - 1)),
  )
  return !isOpen && isMark(tokens.at(-1), ';')
}

export function withoutComments(sql: string): string {
  return [...piecesOf(sql)].map(({ kind, text }) => (kind === 'comment' ? ' ' : text)).join('')
}

/** The SQL on one line, for a comparison: without comments, and with one space for any other space. */
export function normalized(sql: string): string {
  const pieces = [...piecesOf(withoutComments(sql))].map(({ kind, text }) => (kind === 'space' ? ' ' : text))
  return pieces.join('').trim().replace(/\s*;$/, '')
}

/** Writes other SQL in the place of tokens, which are given in the order in which they stand. */
export function replaceTokens(
  sql: string,
  replacements: readonly (readonly [Pick<Token, 'start' | 'end'>, string])[],
): string {
  let [written, from] = ['', 0]
  for (const [{ start, end }, text] of replacements) {
    written += sql.slice(from, start) + text
    from = end
  }
  return written + sql.slice(from)
}

/**
 * Fills in parameters: `ns = /* :ns *\/ 'acme'` with `{ ns: '$ns' }` is `ns = $ns`. A parameter that is not given keeps
 * the value that it has in the SQL.
 *
 * @throws {CDCError} `invalid-config` if the SQL has no parameter of a given name.
 */
export function fillParameters(sql: string, values: Readonly<Record<string, string>>): string {
  const names = new Set<string>()
  const filled = tokensOf(sql).flatMap(({ parameter, end }) => {
    const value = parameter && values[parameter.name]
    if (parameter === undefined || value === undefined) return []
    names.add(parameter.name)
    return [[{ start: parameter.start, end }, value] as const]
  })
  const missing = Object.keys(values).find((name) => !names.has(name))
  if (missing === undefined) return replaceTokens(sql, filled)
  throw new CDCError('invalid-config', `the SQL marks no parameter as /* :${missing} */`)
}
