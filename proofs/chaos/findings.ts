const PROBLEMS_MAX = 20

/** Differences found, counted by kind; the first few are described. */
export class Findings {
  readonly counts = { lost: 0, duplicated: 0, outOfOrder: 0, gaps: 0 }
  readonly problems: string[] = []

  add(what: keyof Findings['counts'], times: number, problem: string): void {
    if (times <= 0) return
    this.counts[what] += times
    if (this.problems.length < PROBLEMS_MAX) this.problems.push(problem)
  }
}
