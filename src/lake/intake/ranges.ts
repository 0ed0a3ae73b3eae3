// Sets of LSNs as ranges. The LSNs of a log that have come are almost always one range, however many they are, and a late,
// repeated or reordered batch is still recognized exactly.

/** LSNs from `first` to `last`, both included. */
export interface LSNRange {
  readonly first: number
  readonly last: number
}

/** Joins ranges that touch or overlap. The result is sorted, and no two of its ranges touch. */
export function unite(ranges: readonly LSNRange[]): LSNRange[] {
  const united: LSNRange[] = []
  for (const range of ranges.toSorted((a, b) => a.first - b.first)) {
    const previous = united.at(-1)
    if (previous === undefined || range.first > previous.last + 1) united.push(range)
    else united[united.length - 1] = { first: previous.first, last: Math.max(previous.last, range.last) }
  }
  return united
}

/** The LSNs of some ranges that are in none of others. */
export function without(ranges: readonly LSNRange[], others: readonly LSNRange[]): LSNRange[] {
  const left: LSNRange[] = []
  const taken = unite(others).values()
  let next = taken.next().value
  for (const { first, last } of unite(ranges)) {
    let from = first
    for (; next !== undefined && next.first <= last; next = taken.next().value) {
      if (next.first > from) left.push({ first: from, last: next.first - 1 })
      from = Math.max(from, next.last + 1)
      if (next.last > last) break
    }
    if (from <= last) left.push({ first: from, last })
  }
  return left
}

/** The LSNs that are in some ranges and also in others. */
export function common(ranges: readonly LSNRange[], others: readonly LSNRange[]): LSNRange[] {
  return without(ranges, without(ranges, others))
}

/** Whether an LSN is in one of the ranges, which `unite` has sorted. */
export function contains(ranges: readonly LSNRange[], lsn: number): boolean {
  let low = 0
  let high = ranges.length - 1
  while (low <= high) {
    const middle = (low + high) >> 1
    const range = ranges[middle]
    if (range === undefined || lsn < range.first) high = middle - 1
    else if (lsn > range.last) low = middle + 1
    else return true
  }
  return false
}

/** Whether a range has LSNs in common with one of the others. */
export function overlaps(ranges: readonly LSNRange[], { first, last }: LSNRange): boolean {
  return ranges.some((range) => first <= range.last && last >= range.first)
}

/** Whether a range overlaps one of the others, or directly precedes or follows it. */
export function touches(ranges: readonly LSNRange[], { first, last }: LSNRange): boolean {
  return ranges.some((range) => first <= range.last + 1 && last >= range.first - 1)
}

/** The LSN up to which nothing is missing: the end of the first range. */
export function watermark(ranges: readonly LSNRange[]): number | undefined {
  return unite(ranges)[0]?.last
}
