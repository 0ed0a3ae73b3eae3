// Reproducible chance: every decision of a run comes from its seed. What the clock and the operating system do between
// decisions does not, so a seed gives the same plan and not the same run.

/** A number in [0, 1). */
export type Random = () => number

/** A separate sequence for each combination of parts: FNV-1a for the state, mulberry32 for the numbers. */
export function createRandom(...parts: readonly (string | number)[]): Random {
  let state = 0x811c9dc5
  for (const char of parts.join('\u0000')) state = Math.imul(state ^ (char.codePointAt(0) ?? 0), 0x01000193)
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** A whole number from `min` to `max`, both included. */
export function between(random: Random, min: number, max: number): number {
  return min + Math.floor(random() * (max - min + 1))
}

/** One of the choices, each as often as its weight. */
export function choose<Choice extends string>(random: Random, weights: Readonly<Record<Choice, number>>): Choice {
  const choices: [Choice, number][] = []
  for (const choice in weights) choices.push([choice, weights[choice]])
  let left = random() * choices.reduce((sum, [, weight]) => sum + weight, 0)
  for (const [choice, weight] of choices) {
    left -= weight
    if (left < 0) return choice
  }
  const [first] = choices
  if (first === undefined) throw new Error('there are no choices')
  return first[0]
}

/** The items in another order. */
export function shuffle<T>(random: Random, items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, rank: random() }))
    .toSorted((a, b) => a.rank - b.rank)
    .map(({ item }) => item)
}
