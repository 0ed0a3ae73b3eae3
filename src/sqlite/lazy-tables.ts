// Tables that are made when they are first needed, and again after `deleteAll` has taken them away under the living object.
// Not at once then, so that an object that is left alone stays empty.

export class LazyTables {
  readonly #create: () => void
  readonly #exist: () => boolean
  /** Undefined while it is not known. */
  #areThere: boolean | undefined
  #wereEmptied = false

  /**
   * @param create makes the tables, and may find them made already.
   * @param exist looks whether they are there.
   */
  constructor(create: () => void, exist: () => boolean) {
    this.#create = create
    this.#exist = exist
  }

  /** Makes the tables if they are missing. */
  open(): void {
    if (this.#areThere === true) return
    this.#create()
    this.#areThere = true
  }

  /** Whether they are there, without making them. */
  areThere(): boolean {
    return (this.#areThere ??= this.#exist())
  }

  /** To be called when the storage was emptied. */
  emptied(): void {
    this.#wereEmptied = true
    this.#areThere = undefined
  }

  /** To be called when something was rolled back: that the tables were made again may have been part of it. */
  rolledBack(): void {
    if (this.#wereEmptied) this.#areThere = undefined
  }
}
