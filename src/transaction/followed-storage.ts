// Every liberty that the library takes with the platform's storage object is taken here, and only here. The platform has no
// events for what the library must know, so methods of `ctx.storage` are replaced by ones that call the original and tell
// whoever has subscribed. The object stays the platform's own, because nothing else is accepted where it is expected.
//
// Measured on workerd 2026-08-15 and 2026-11-17 (SQLite 3.47 and 3.54); the methods are documented at
// developers.cloudflare.com/durable-objects/api/sqlite-storage-api.
//
//   transactionSync, transaction   what was rolled back, also by a transaction of the user's or of drizzle's that is caught:
//                                  events that wait to be written, and what is remembered of the database, go with it
//   txn.rollback                   the same, without an exception
//   setAlarm, getAlarm, deleteAlarm, and those of txn
//                                  only in an object whose own class or base class has an alarm too: the platform has one for
//                                  all, so each sees only its own
//   deleteAll                      the tables are gone under the living object, and a new epoch begins
//   sql.exec                       only in an object that captures: a trigger cannot set an alarm, does not know its
//                                  transaction and has no limits

/** Undoes what was remembered since a transaction began, because the database has undone it too. */
export type Undo = () => void

/** Runs a statement in the place of `sql.exec`. */
export type StatementRunner = <Row extends Record<string, SqlStorageValue>>(
  query: string,
  bindings: unknown[],
) => SqlStorageCursor<Row>

/** The alarm of an object, as its storage has it. */
export type AlarmMethods = Pick<DurableObjectStorage, 'getAlarm' | 'setAlarm' | 'deleteAlarm'>

export class FollowedStorage {
  readonly storage: DurableObjectStorage
  /** `sql.exec` as the platform has it, which nobody is told of. */
  readonly exec: SqlStorage['exec']
  readonly #marks: (() => Undo)[] = []
  readonly #rollbackListeners: (() => void)[] = []
  readonly #emptiedListeners: (() => void)[] = []
  /** What others than the library have for the platform's alarm. */
  #theirAlarm: AlarmMethods | undefined
  #depth = 0
  /** Stands for the outermost transaction that is open. */
  #outermost: object | undefined

  constructor(storage: DurableObjectStorage) {
    this.storage = storage
    this.exec = storage.sql.exec.bind(storage.sql)
    this.#followTransactionSync()
    this.#followTransaction()
    this.#followDeleteAll()
  }

  /** Calls `mark` as each transaction begins, anybody's and nested ones too, and what it returned if that one is rolled back. */
  onBegin(mark: () => Undo): void {
    this.#marks.push(mark)
  }

  /** Calls the listener after something was rolled back: what is remembered of the database may no longer be true. */
  onRollback(listener: () => void): void {
    this.#rollbackListeners.push(listener)
  }

  /** Calls the listener as `deleteAll` empties the storage. */
  onEmptied(listener: () => void): void {
    this.#emptiedListeners.push(listener)
  }

  /** Runs every statement by `run` from now on, except those that the library runs by `exec`. */
  interceptStatements(run: StatementRunner): void {
    this.storage.sql.exec = (query, ...bindings) => run(query, bindings)
  }

  /** Gives others these methods for the platform's alarm from now on. @returns the platform's own. */
  interceptAlarm(theirs: AlarmMethods): AlarmMethods {
    const { storage } = this
    const own = {
      getAlarm: storage.getAlarm.bind(storage),
      setAlarm: storage.setAlarm.bind(storage),
      deleteAlarm: storage.deleteAlarm.bind(storage),
    }
    this.#theirAlarm = theirs
    Object.assign(storage, theirs)
    return own
  }

  /** The same object as long as one outermost transaction is open, anybody's; undefined outside of any. */
  get openTransaction(): object | undefined {
    return this.#outermost
  }

  #followTransactionSync(): void {
    const transactionSync = this.storage.transactionSync.bind(this.storage)
    this.storage.transactionSync = (callback) => {
      const undo = this.#begin()
      try {
        return transactionSync(callback)
      } catch (error) {
        undo()
        throw error
      } finally {
        this.#end()
      }
    }
  }

  #followTransaction(): void {
    const transaction = this.storage.transaction.bind(this.storage)
    this.storage.transaction = async (callback) => {
      try {
        return await transaction((txn) => this.#runInside(txn, callback))
      } catch (error) {
        // Only now has the platform rolled back: what was read between the callback's end and here is no longer true.
        this.#tellRollback()
        throw error
      }
    }
  }

  async #runInside<T>(
    txn: DurableObjectTransaction,
    callback: (txn: DurableObjectTransaction) => Promise<T>,
  ): Promise<T> {
    const undo = this.#begin()
    const rollback = txn.rollback.bind(txn)
    txn.rollback = () => {
      undo()
      rollback()
    }
    if (this.#theirAlarm !== undefined) Object.assign(txn, this.#theirAlarm)
    try {
      return await callback(txn)
    } catch (error) {
      undo()
      throw error
    } finally {
      this.#end()
    }
  }

  #followDeleteAll(): void {
    const deleteAll = this.storage.deleteAll.bind(this.storage)
    this.storage.deleteAll = (...args) => {
      for (const listener of this.#emptiedListeners) listener()
      return deleteAll(...args)
    }
  }

  #begin(): Undo {
    this.#depth += 1
    this.#outermost ??= {}
    const undos = this.#marks.map((mark) => mark())
    return () => {
      for (const undo of undos) undo()
      this.#tellRollback()
    }
  }

  #end(): void {
    this.#depth -= 1
    if (this.#depth === 0) this.#outermost = undefined
  }

  #tellRollback(): void {
    for (const listener of this.#rollbackListeners) listener()
  }
}
