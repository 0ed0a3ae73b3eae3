// SQLite keeps whatever bytes a text was made of; JavaScript's strings hold only what is valid UTF-8. Bytes that are not are
// kept as the code units U+DC80 to U+DCFF, which no valid text has: Python's surrogateescape (PEP 383).

const FIRST_ESCAPE = 0xdc00
const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** A text from its bytes. `isEscaped` tells whether it has any that are not UTF-8. */
export function textOf(bytes: Uint8Array): string {
  try {
    return strict.decode(bytes)
  } catch {
    return escapedTextOf(bytes)
  }
}

export function isEscaped(text: string): boolean {
  return /[\udc80-\udcff]/.test(text) && !text.isWellFormed()
}

/** The bytes that `textOf` made the text of. */
export function bytesOf(text: string): Uint8Array {
  const encoder = new TextEncoder()
  const bytes: number[] = []
  for (const character of text) {
    const unit = character.charCodeAt(0)
    if (character.length === 1 && unit >= 0xdc80 && unit <= 0xdcff) bytes.push(unit - FIRST_ESCAPE)
    else bytes.push(...encoder.encode(character))
  }
  return Uint8Array.from(bytes)
}

function escapedTextOf(bytes: Uint8Array): string {
  let text = ''
  for (let index = 0; index < bytes.length;) {
    const length = sequenceLength(bytes, index)
    if (length === 0) text += String.fromCharCode(FIRST_ESCAPE + (bytes[index] ?? 0))
    else text += strict.decode(bytes.subarray(index, index + length))
    index += Math.max(length, 1)
  }
  return text
}

/** Bytes of the valid UTF-8 sequence that begins there; 0 if none does. */
function sequenceLength(bytes: Uint8Array, index: number): number {
  const first = bytes[index] ?? 0
  const length = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0
  if (length <= 1) return length
  try {
    const [character] = strict.decode(bytes.subarray(index, index + length))
    return character === undefined ? 0 : length
  } catch {
    return 0
  }
}
