// Virtual time: what is to happen, in the order in which it does. Nothing in a simulation waits for a real clock.

/** Something that is to happen at a time. */
export interface Appointment {
  readonly atMs: number
  /** Decides between two of the same time: the one that was made first. */
  readonly order: number
  /** For a trace. */
  readonly what: string
  readonly run: () => void
  isCancelled: boolean
}

/** A binary heap of appointments, the earliest on top. */
export class Schedule {
  /** Milliseconds since the simulation began, with fractions. It never steps back. */
  nowMs = 0
  readonly #heap: Appointment[] = []
  #count = 0

  /** @param delayMs from now. */
  after(delayMs: number, what: string, run: () => void): Appointment {
    const atMs = this.nowMs + Math.max(0, delayMs)
    const appointment = { atMs, order: this.#count++, what, run, isCancelled: false }
    this.#heap.push(appointment)
    this.#rise(this.#heap.length - 1)
    return appointment
  }

  /** When the next thing happens; nothing if nothing ever will. */
  peekMs(): number | undefined {
    this.#dropCancelled()
    return this.#heap[0]?.atMs
  }

  /** Moves the clock to the next appointment. */
  next(): Appointment | undefined {
    this.#dropCancelled()
    const top = this.#removeTop()
    if (top !== undefined) this.nowMs = top.atMs
    return top
  }

  #dropCancelled(): void {
    while (this.#heap[0]?.isCancelled === true) this.#removeTop()
  }

  #removeTop(): Appointment | undefined {
    const top = this.#heap[0]
    const last = this.#heap.pop()
    if (top === undefined || last === undefined || top === last) return top
    this.#heap[0] = last
    this.#sink()
    return top
  }

  #rise(index: number): void {
    for (let at = index; at > 0;) {
      const parent = (at - 1) >> 1
      if (!this.#swapIfBefore(at, parent)) return
      at = parent
    }
  }

  #sink(): void {
    for (let at = 0; ;) {
      const left = 2 * at + 1
      const first = this.#isBefore(left + 1, left) ? left + 1 : left
      if (!this.#swapIfBefore(first, at)) return
      at = first
    }
  }

  #swapIfBefore(lower: number, upper: number): boolean {
    if (!this.#isBefore(lower, upper)) return false
    const [a, b] = [this.#heap[lower], this.#heap[upper]]
    if (a === undefined || b === undefined) return false
    this.#heap[upper] = a
    this.#heap[lower] = b
    return true
  }

  #isBefore(one: number, other: number): boolean {
    const [a, b] = [this.#heap[one], this.#heap[other]]
    if (a === undefined) return false
    if (b === undefined) return true
    return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
  }
}
