// JSON with the values that it has no form for: bytes and longs, as the metrics of data files have them.

export function stringifyExact(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) => {
    if (typeof each === 'bigint') return { $long: String(each) }
    return each instanceof Uint8Array ? { $hex: each.toHex() } : each
  })
}

export function parseExact(json: string): unknown {
  return JSON.parse(json, (_, each: unknown) => {
    if (typeof each !== 'object' || each === null) return each
    if ('$long' in each) return BigInt(String(each.$long))
    return '$hex' in each ? Uint8Array.fromHex(String(each.$hex)) : each
  })
}
