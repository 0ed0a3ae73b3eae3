// What parsing a JSON text would make, found out without parsing it: that may need twenty times the memory of the text.

/** So many characters of an integer a JavaScript number always holds exactly; and the length of the largest one. */
const EXACT_LENGTH = 15
const INTEGER_LENGTH_MAX = 310

export interface JSONShape {
  /** Levels of nesting. */
  readonly depth: number
  /** Arrays and objects. */
  readonly containers: number
  /** Members of all objects, repeated names counted each time. */
  readonly members: number
  /** Elements of the outermost array, at most. */
  readonly elements: number
  /** Whether it has an integer that a JavaScript number would round. */
  readonly isRounded: boolean
}

/** Reads the punctuation and the numbers alone. Whether the text is JSON at all, `JSON.parse` will find out. */
export function jsonShape(text: string): JSONShape {
  let [depth, depthNow, containers, members, commas] = [0, 0, 0, 0, 0]
  let isRounded = false
  for (let at = 0; at < text.length; at++) {
    const character = text.charAt(at)
    switch (character) {
      case '"':
        at = stringEnd(text, at)
        break
      case '[':
      case '{':
        containers++
        depth = Math.max(depth, ++depthNow)
        break
      case ']':
      case '}':
        depthNow--
        break
      case ':':
        members++
        break
      case ',':
        if (depthNow === 1) commas++
        break
      default:
        if (character !== '-' && !isDigit(character)) break
        const end = numberEnd(text, at)
        isRounded ||= end - at > EXACT_LENGTH && isRoundedInteger(text.slice(at, end))
        at = end - 1
    }
  }
  return { depth, containers, members, elements: commas + 1, isRounded }
}

/** Members of all objects in a value, which must not be deeper than the stack allows. */
export function countMembers(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  const children: unknown[] = Object.values(value)
  return children.reduce<number>((sum, child) => sum + countMembers(child), Array.isArray(value) ? 0 : children.length)
}

/** The end of the string whose first quote is at `start`. */
function stringEnd(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const character = text.charAt(at)
    if (character === '"') return at
    if (character === '\\') at++
  }
  return text.length
}

function numberEnd(text: string, start: number): number {
  let end = start + 1
  while (end < text.length && (isDigit(text.charAt(end)) || '.eE+-'.includes(text.charAt(end)))) end++
  return end
}

/** An integer is not rounded if a number has exactly this value, or if JavaScript writes the number like this. */
function isRoundedInteger(token: string): boolean {
  if (!/^-?\d+$/.test(token)) return false
  const value = Number(token)
  if (token.length > INTEGER_LENGTH_MAX || !Number.isFinite(value)) return true
  return BigInt(value) !== BigInt(token) && String(value) !== token
}

function isDigit(character: string): boolean {
  return character >= '0' && character <= '9'
}
