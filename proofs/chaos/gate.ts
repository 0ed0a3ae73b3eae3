/** Keeps clients from beginning anything while it is closed. */
export class Gate {
  #isOpen = Promise.resolve()

  /** Resolves while it is open. */
  get passed(): Promise<void> {
    return this.#isOpen
  }

  /** Keeps it closed while something is done. */
  async during(work: () => Promise<void>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#isOpen = promise
    await work().finally(resolve)
  }
}
