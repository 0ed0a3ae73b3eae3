// What a filter and an order mean, in plain JavaScript: for documents held in memory, without SQL.

type Fields = Record<string, unknown>

/** Whether a filter lets a document through. */
export function isMatch(document: Fields, where: object): boolean {
  return Object.entries(where).every(([name, operand]: [string, unknown]) => {
    if (name === '$and') return (operand as object[]).every((filter) => isMatch(document, filter))
    if (name === '$or') return (operand as object[]).some((filter) => isMatch(document, filter))
    if (name === '$not') return !isMatch(document, operand as object)
    const value = valueAt(document, name)
    if (typeof operand !== 'object' || operand === null) return isEqual(value, operand)
    return Object.entries(operand).every(([operator, given]) => compares(value, operator, given))
  })
}

/** Documents in an order: without a value, numbers (including true and false), strings; equal ones by id. */
export function inOrder<T extends Fields & { $id: string }>(documents: readonly T[], orderBy: string): T[] {
  const path = orderBy.replace(/^-/, '')
  const sign = orderBy.startsWith('-') ? -1 : 1
  return documents.toSorted(
    (a, b) => sign * (compare(valueAt(a, path), valueAt(b, path)) || compareBytes(a.$id, b.$id)),
  )
}

/** Whether a text is of a form, in which `%` stands for anything and `_` for a character. None with a NUL is. */
export function like(text: string, pattern: string): boolean {
  const expression = Array.from(pattern.matchAll(/\\([^])|([^])/gu), ([, literal, other]) => {
    if (other === '%') return '[^]*'
    if (other === '_') return '[^]'
    // A backslash that stands last makes nothing itself, and matches nothing.
    if (other === '\\') return '(?!)'
    const character = literal ?? other ?? ''
    if (/[a-z]/i.test(character)) return `[${character.toLowerCase()}${character.toUpperCase()}]`
    return `\\u{${character.codePointAt(0)?.toString(16)}}`
  })
  return !text.includes('\0') && new RegExp(`^${expression.join('')}$`, 'u').test(text)
}

function compares(value: unknown, operator: string, given: unknown): boolean {
  switch (operator) {
    case '$eq':
      return isEqual(value, given)
    case '$ne':
      return !isEqual(value, given)
    case '$in':
      return (given as unknown[]).some((each) => isEqual(value, each))
    case '$like':
      return typeof value === 'string' && like(value, given as string)
  }
  if (typeof value !== typeof given) return false
  const difference = compare(value, given)
  if (operator === '$gt') return difference > 0
  if (operator === '$gte') return difference >= 0
  if (operator === '$lt') return difference < 0
  return difference <= 0
}

function isEqual(value: unknown, given: unknown): boolean {
  return given === null ? value === null || value === undefined : value === given
}

function valueAt(document: Fields, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>(
      (value, field) =>
        typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields)[field] : undefined,
      document,
    )
}

function compare(a: unknown, b: unknown): number {
  const [keyA, keyB] = [sortKey(a), sortKey(b)]
  if (typeof keyA === 'number' && typeof keyB === 'number') return keyA - keyB
  if (typeof keyA === 'string' && typeof keyB === 'string') return compareBytes(keyA, keyB)
  return rank(keyA) - rank(keyB)
}

function sortKey(value: unknown): string | number | undefined {
  if (value === null || value === undefined) return undefined
  if (typeof value === 'boolean') return Number(value)
  return typeof value === 'string' || typeof value === 'number' ? value : JSON.stringify(value)
}

function rank(key: string | number | undefined): number {
  return ['undefined', 'number', 'string'].indexOf(typeof key)
}

const utf8 = new TextEncoder()

function compareBytes(a: string, b: string): number {
  const [bytesA, bytesB] = [utf8.encode(a), utf8.encode(b)]
  const index = bytesA.findIndex((byte, at) => byte !== bytesB[at])
  return index < 0 ? bytesA.length - bytesB.length : (bytesA[index] ?? 0) - (bytesB[index] ?? -1)
}
