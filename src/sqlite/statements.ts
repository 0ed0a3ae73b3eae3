// The statements of a SQL text, told apart as SQLite does it (sqlite3_complete): a `;` ends one, except inside a string, a
// name, a comment or the body of a trigger.

/** What only looks like code: comments, strings and names in quotes, also those that do not end. */
export const NOT_CODE = String.raw`--[^\n]*|/\*[^]*?(?:\*/|$)|'(?:[^']|'')*'?|"(?:[^"]|"")*"?|\x60(?:[^\x60]|\x60\x60)*\x60?|\[[^\]]*\]?`

const TOKEN = new RegExp(String.raw`${NOT_CODE}|[\p{L}\p{N}_$]+|;|\s+|[^]`, 'gu')

/** Each statement, without its `;`. What is only blanks and comments is none. */
export function splitStatements(text: string): string[] {
  const statements: string[] = []
  let current = ''
  let words: string[] = []
  let depth = 0
  for (const [token] of text.matchAll(TOKEN)) {
    if (token === ';' && depth === 0) {
      if (words.length > 0) statements.push(current)
      current = ''
      words = []
      continue
    }
    current += token
    if (!isWord(token)) continue
    const word = token.toUpperCase()
    words.push(word)
    if (isTrigger(words)) depth += word === 'BEGIN' || word === 'CASE' ? 1 : word === 'END' ? -1 : 0
  }
  if (words.length > 0) statements.push(current)
  return statements
}

/** Anything but blanks and comments, so that a statement has at least one. */
function isWord(token: string): boolean {
  return !/^(?:\s|--|\/\*)/.test(token)
}

function isTrigger([first, second, third]: readonly string[]): boolean {
  if (first !== 'CREATE') return false
  return second === 'TRIGGER' || (/^TEMP(?:ORARY)?$/.test(second ?? '') && third === 'TRIGGER')
}
