// The stores of an object by name: for snapshots, and to make their tables again after `deleteAll`.

import { LazyTables } from '../sqlite/lazy-tables.ts'
import type { AttachedStore, StoreSQL } from '../store.ts'

export class AttachedStores {
  readonly #stores = new Map<string, AttachedStore>()
  readonly #sql: SqlStorage
  readonly #tables: LazyTables

  constructor(sql: SqlStorage) {
    this.#sql = sql
    this.#tables = new LazyTables(
      () => this.#createTables(),
      () => false,
    )
    this.#tables.open()
  }

  attach(store: AttachedStore): StoreSQL {
    this.#stores.set(store.name, store)
    store.createTables(this.#sql)
    const exec: SqlStorage['exec'] = (query, ...bindings) => {
      this.#tables.open()
      return this.#sql.exec(query, ...bindings)
    }
    return { exec }
  }

  get(name: string): AttachedStore | undefined {
    return this.#stores.get(name)
  }

  names(): string[] {
    return [...this.#stores.keys()]
  }

  emptied(): void {
    this.#tables.emptied()
  }

  rolledBack(): void {
    this.#tables.rolledBack()
  }

  #createTables(): void {
    for (const store of this.#stores.values()) store.createTables(this.#sql)
  }
}
