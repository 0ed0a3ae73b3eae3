// The SQL that Basin SQL documents, taken strictly: a query for it may use nothing else.
// https://developers.cloudflare.com/basin-sql/sql-reference/ and /reference/limitations-best-practices/

import { isMark, isWord, type Token, tokensOf } from '../../src/cli/sql-tokens.ts'

/** Functions of the reference that DuckDB has under the same name, some of them as macros of the command. */
const FUNCTIONS = new Set(
  `abs avg bool_and bool_or ceil coalesce concat concat_ws contains count date_part date_trunc floor greatest json_as_text
  json_contains json_get_bool json_get_float json_get_int json_get_json json_get_str json_length lag lead least length
  lower lpad max median min now nullif regexp_replace replace round row_number rank split_part starts_with substr sum
  trim upper`.split(/\s+/),
)

/** Keywords that a parenthesis may follow. */
const BEFORE_PARENTHESIS = [
  'as',
  'in',
  'over',
  'and',
  'or',
  'not',
  'when',
  'then',
  'else',
  'exists',
  'by',
  'from',
  'on',
]

const UNSUPPORTED = `offset unnest pivot unpivot lateral window percentile_disc insert update delete create drop alter
  recursive sample using asof positional summarize all_columns exclude`.split(/\s+/)

/** Columns of the table that are keywords somewhere, and must be quoted. */
const QUOTED_COLUMNS = ['timestamp', 'key', 'before', 'after', 'data', 'table']

const LIMIT_ROWS_MAX = 10_000

/** What Basin SQL would refuse, or answer in an unexpected way. */
export function dialectProblems(sql: string): string[] {
  const tokens = tokensOf(sql)
  return [
    ...tokens.flatMap((token, index) => wordProblems(token, tokens, index)),
    ...tokens.flatMap((token, index) => (isWord(token, 'select') ? selectProblems(token, tokens, index) : [])),
    ...tokens.flatMap((token, index) => (isWord(token, 'from', 'join') ? tableProblems(tokens, index) : [])),
    ...tokens.flatMap((token, index) => (isWord(token, 'limit') ? limitProblems(tokens[index + 1]) : [])),
  ]
}

/** Whether the query as a whole, and not only a subquery, limits its rows. */
export function limitsRows(sql: string): boolean {
  return isWord(tokensOf(sql).at(-2), 'limit')
}

function wordProblems(token: Token, tokens: readonly Token[], index: number): string[] {
  const next = tokens[index + 1]
  if (token.kind === 'mark') return ['->', '->>', '?', '$', '['].includes(token.text) ? [`operator ${token.text}`] : []
  if (token.kind !== 'word') return []
  if (UNSUPPORTED.includes(token.text)) return [token.text.toUpperCase()]
  if (QUOTED_COLUMNS.includes(token.text)) return [`unquoted ${token.text}`]
  if (token.text === 'not' && isWord(next, 'in')) return ['NOT IN']
  if (token.text === 'by' && (next?.kind === 'number' || isWord(next, 'all'))) return [`BY ${next?.text}`]
  const isCall = isMark(next, '(') && !BEFORE_PARENTHESIS.includes(token.text) && !isWord(tokens[index - 1], 'with')
  return isCall && !FUNCTIONS.has(token.text) ? [`function ${token.text}`] : []
}

/** A SELECT needs a FROM, and if it reads a table, a bound with which the catalog can prune files. */
function selectProblems({ depth }: Token, tokens: readonly Token[], index: number): string[] {
  const rest = tokens.slice(index + 1)
  const end = rest.findIndex((token) => token.depth < depth || (isWord(token, 'select') && token.depth === depth))
  const own = (end === -1 ? rest : rest.slice(0, end)).filter((token) => token.depth === depth)
  const from = own.findIndex((token) => isWord(token, 'from'))
  if (from === -1) return ['SELECT without FROM']
  const readsTable = isMark(own[from + 2], '.')
  return readsTable && !own.some((token, at) => isBound(token, own[at + 1])) ? ['no bound of __ingest_ts'] : []
}

function isBound(token: Token, next: Token | undefined): boolean {
  return isWord(token, '__ingest_ts') && isMark(next, '>')
}

function tableProblems(tokens: readonly Token[], index: number): string[] {
  const [name, dot] = [tokens[index + 1], tokens[index + 2]]
  const isDefined = tokens.some((token, at) => token.text === name?.text && isDefinition(tokens, at))
  return isMark(name, '(') || isMark(dot, '.') || isDefined ? [] : [`unqualified table ${name?.text}`]
}

function isDefinition(tokens: readonly Token[], index: number): boolean {
  return isWord(tokens[index + 1], 'as') && isMark(tokens[index + 2], '(')
}

function limitProblems(count: Token | undefined): string[] {
  const rows = count?.kind === 'number' ? Number(count.text) : Number.NaN
  return rows >= 1 && rows <= LIMIT_ROWS_MAX ? [] : [`LIMIT ${count?.text}`]
}
