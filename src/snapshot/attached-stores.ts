// The stores of an object, as its outbox knows them: by name, for snapshots, and so that their tables outlive `deleteAll`.

import type { AttachedStore, StoreSQL } from '../store.ts'

export class AttachedStores {
  readonly #stores = new Map<string, AttachedStore>()
  readonly #sql: SqlStorage
  /** Whether `deleteAll` has been called, and whether the tables were not made again since. */
  #wasEmptied = false
  #isEmptied = false

  constructor(storage: DurableObjectStorage) {
    this.#sql = storage.sql
    const deleteAll = storage.deleteAll.bind(storage)
    storage.deleteAll = (...args) => {
      this.#wasEmptied = true
      this.#isEmptied = true
      return deleteAll(...args)
    }
  }

  attach(store: AttachedStore): StoreSQL {
    this.#stores.set(store.name, store)
    store.createTables(this.#sql)
    const exec: SqlStorage['exec'] = (query, ...bindings) => {
      this.open()
      return this.#sql.exec(query, ...bindings)
    }
    return { exec }
  }

  /** Called when something was rolled back: that the tables were made again may have been part of it. */
  forget(): void {
    this.#isEmptied = this.#wasEmptied
  }

  get(name: string): AttachedStore | undefined {
    return this.#stores.get(name)
  }

  names(): string[] {
    return [...this.#stores.keys()]
  }

  /** Makes the tables again after `deleteAll`: not at once, so that an object that is left alone then stays empty. */
  open(): void {
    if (!this.#isEmptied) return
    this.#isEmptied = false
    for (const store of this.#stores.values()) store.createTables(this.#sql)
  }
}
