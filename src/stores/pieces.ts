// Lists that are too long for one statement, in pieces that are not.

/** Characters of JSON in one parameter of a statement. The platform takes 2 MB, and a character is 3 bytes at most. */
export const PARAMETER_CHARACTERS_MAX = 600_000

interface PieceLimits<Item> {
  readonly maxItems?: number
  readonly maxCharacters?: number
  readonly charactersOf?: (item: Item) => number
}

/** Cuts a list into pieces, in order. An item that is too long for any piece is a piece of its own. */
export function* pieces<Item>(
  items: readonly Item[],
  { maxItems = Infinity, maxCharacters = PARAMETER_CHARACTERS_MAX, charactersOf = () => 0 }: PieceLimits<Item>,
): Generator<Item[]> {
  let piece: Item[] = []
  let pieceCharacters = 0
  for (const item of items) {
    const characters = charactersOf(item)
    if (piece.length > 0 && (piece.length === maxItems || pieceCharacters + characters > maxCharacters)) {
      yield piece
      piece = []
      pieceCharacters = 0
    }
    piece.push(item)
    pieceCharacters += characters
  }
  if (piece.length > 0) yield piece
}

/** Values that are JSON already as arrays, each of which fits into one parameter. */
export function* jsonArrays(values: readonly string[]): Generator<string> {
  for (const piece of pieces(values, { charactersOf: ({ length }) => length + 1 })) yield `[${piece.join(',')}]`
}
