// What the benchmark measures: a figure is a number with a goal. A new subject is a file with figures, listed in main.ts.

export type Goal = { readonly atMost: number } | { readonly atLeast: number }

export interface Figure {
  /** `<subject>.<what>`; the command line selects figures by a prefix of their names. */
  readonly name: string
  readonly unit: string
  readonly goal: Goal
  /** Takes minutes, and is measured only with --full, or by its whole name. */
  readonly isLong?: true
  /** May explain the number on stderr. */
  measure(): Promise<number>
}

/** A figure as measured in this run. */
export interface Measurement {
  readonly name: string
  /** NaN, which is null in JSON, if the measurement failed. */
  readonly value: number
  readonly unit: string
  readonly goal: Goal
  readonly holds: boolean
}

/** Whether a value reaches its goal. A failed measurement does not. */
export function holds(value: number, goal: Goal): boolean {
  return 'atMost' in goal ? value <= goal.atMost : value >= goal.atLeast
}
