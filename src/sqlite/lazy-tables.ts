// Tables that are made when they are first needed, and again if they are needed after `deleteAll` has deleted them while the
// object runs. Not at once then, so that an object that is not used again stays empty.

export class LazyTables {
  readonly #create: () => void
  readonly #check: () => boolean
  /** Whether they exist; undefined while that is not known. */
  #known: boolean | undefined
  #wereEmptied = false

  /**
   * @param create makes the tables; some or all of them may exist already.
   * @param check reads whether they exist.
   */
  constructor(create: () => void, check: () => boolean) {
    this.#create = create
    this.#check = check
  }

  /** Makes the tables if they are missing. */
  open(): void {
    if (this.#known === true) return
    this.#create()
    this.#known = true
  }

  /** Whether they exist, without making them. */
  exist(): boolean {
    return (this.#known ??= this.#check())
  }

  /** To be called when the storage is emptied. */
  emptied(): void {
    this.#wereEmptied = true
    this.#known = undefined
  }

  /** To be called after a rollback, which may have undone that the tables were made again. */
  rolledBack(): void {
    if (this.#wereEmptied) this.#known = undefined
  }
}
