// SQL as the words and marks that it consists of: enough to see which table a query names and where it begins, with
// texts, quoted names and comments out of the way. What the SQL means is for the engine that runs it.

export interface Token {
  readonly kind: 'word' | 'quoted' | 'text' | 'number' | 'mark'
  /** As it is written; a word in lower case, a quoted name without its quotes. */
  readonly text: string
  /** Where in the SQL it begins. */
  readonly start: number
  /** How many parentheses are open around it. */
  readonly depth: number
}

const TOKEN =
  /(?<skipped>\s+|--.*|\/\*[^]*?\*\/)|(?<text>'(?:[^']|'')*')|(?<quoted>"(?:[^"]|"")*")|(?<word>[\p{L}_][\p{L}\p{N}_$]*)|(?<number>\d[\d._]*)|(?<mark>->>|->|::|[^])/gu

export function tokensOf(sql: string): Token[] {
  const tokens: Token[] = []
  let depth = 0
  for (const { groups, index } of sql.matchAll(TOKEN)) {
    const token = tokenOf(groups ?? {})
    if (token === undefined) continue
    if (token.text === ')' && token.kind === 'mark') depth -= 1
    tokens.push({ ...token, start: index, depth })
    if (token.text === '(' && token.kind === 'mark') depth += 1
  }
  return tokens
}

function tokenOf({ text, quoted, word, number, mark }: Record<string, string | undefined>) {
  if (word !== undefined) return { kind: 'word', text: word.toLowerCase() } as const
  if (quoted !== undefined) return { kind: 'quoted', text: quoted.slice(1, -1).replaceAll('""', '"') } as const
  if (text !== undefined) return { kind: 'text', text } as const
  if (number !== undefined) return { kind: 'number', text: number } as const
  return mark === undefined ? undefined : ({ kind: 'mark', text: mark } as const)
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
