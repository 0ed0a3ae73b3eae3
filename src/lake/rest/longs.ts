// Ids of snapshots are longs of 63 bits, and JSON.parse rounds what exceeds 53. On the way in such a number becomes a string of
// its digits, and on the way out the id of a snapshot becomes a number again.

/** A string, or a long number that is no fraction. */
const STRING_OR_LONG = /"(?:[^"\\]|\\.)*"|(?<![\d.eE+])-?\d{16,}(?![\d.eE])/g

/** JSON in which each integer is exact in JavaScript: as a number, or as a string. */
export function quoteLongs(json: string): string {
  return json.replace(STRING_OR_LONG, (token) =>
    token.startsWith('"') || Number.isSafeInteger(Number(token)) ? token : `"${token}"`,
  )
}

/** The same JSON with the ids of snapshots as numbers. */
export function unquoteSnapshotIds(json: string): string {
  return json
    .replace(/("(?:parent-)?snapshot-id":)"(-?\d+)"/g, '$1$2')
    .replace(/"snapshot-ids":\[[^\]]*\]/g, (ids) => ids.replace(/"(-?\d+)"/g, '$1'))
}
