// What the benchmark measures: a figure is a number with a goal. A new subject is a file with figures, listed in main.ts.

export type Goal = { readonly atMost: number } | { readonly atLeast: number }

export interface Figure {
  /** `<subject>.<what>`; the command line picks figures by the beginning of their names. */
  readonly name: string
  readonly unit: string
  readonly goal: Goal
  /** Takes seconds, not minutes. May note on stderr how the number comes about. */
  measure(): Promise<number>
}

/** A figure as it was measured now. */
export interface Measurement {
  readonly name: string
  /** NaN, which is null in JSON, where the measurement failed. */
  readonly value: number
  readonly unit: string
  readonly goal: Goal
  readonly holds: boolean
}

/** Says whether a value reaches its goal; what could not be measured does not. */
export function holds(value: number, goal: Goal): boolean {
  return 'atMost' in goal ? value <= goal.atMost : value >= goal.atLeast
}
