// How a proof reports: prose for people on stdout; with --json, the prose on stderr and one JSON value as the last line of
// stdout. Progress is on stderr in either case.

/** How the progress bars of all proofs behave, also where stderr is not a terminal. */
export const BAR_OPTIONS = {
  hideCursor: true,
  noTTYOutput: true,
  notTTYSchedule: 2_000,
  stream: process.stderr,
} as const

export class Output {
  readonly #isJSON: boolean

  constructor(isJSON: boolean) {
    this.#isJSON = isJSON
  }

  /** Prints a line of prose. */
  say(line: string): void {
    const stream = this.#isJSON ? process.stderr : process.stdout
    stream.write(`${line}\n`)
  }

  /** Prints the result with --json. */
  conclude(value: unknown): void {
    if (this.#isJSON) process.stdout.write(`${JSON.stringify(value)}\n`)
  }
}
