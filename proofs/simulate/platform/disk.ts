// What an object keeps: its database and the time of its alarm. Writes are visible at once and durable a little later, together
// with all that came before them; a crash in between loses them. What the object sends meanwhile waits: the output gate.
//
// Measured on workerd 2026-11-17: one fsync for each request that writes, before its answer and before anything that it sends.

import { Database, isRead, type Outcome } from './database.ts'

interface DiskPorts {
  /** Calls back when what was written so far is to become durable. */
  readonly later: (flush: () => void) => void
  /** Called once it is. */
  readonly onDurable: () => void
  /** Called if the commit fails, which ends the object. */
  readonly onFailure: () => void
}

/** A copy of a disk. */
export interface DiskImage {
  readonly database: Uint8Array
  readonly alarmMs: number | null
}

export class Disk {
  /** When the alarm is due, as the object sees it, and as it is durable. */
  alarmMs: number | null = null
  durableAlarmMs: number | null = null
  readonly database = new Database()
  readonly #ports: DiskPorts
  readonly #held: (() => void)[] = []
  readonly #savepoints: (number | null)[] = []
  /** Rows of a statement that writes and returns, which nobody has read yet. */
  #unread = 0
  #isDirty = false
  /** A transaction of the object is open beyond this turn, and a flush waits for its end. */
  #isFlushDue = false
  #openAsync = 0
  /** Tells a flush of before a crash from one of after it. */
  #writes = 0

  constructor(ports: DiskPorts) {
    this.#ports = ports
    this.database.command('PRAGMA foreign_keys = ON')
  }

  get isDirty(): boolean {
    return this.#isDirty
  }

  run(text: string, bindings: readonly unknown[]): { outcome: Outcome; onEnd: () => void } {
    if (!isRead(text)) this.write()
    const outcome = this.database.run(text, bindings)
    if (!outcome.isWrite || outcome.rows.length === 0) return { outcome, onEnd: () => undefined }
    let isUnread = true
    this.#unread += 1
    const onEnd = (): void => {
      if (isUnread) this.#unread -= 1
      isUnread = false
    }
    return { outcome, onEnd }
  }

  /** To be called before anything is changed. */
  write(): void {
    if (this.#isDirty) return
    this.#isDirty = true
    this.database.command('BEGIN')
    const write = ++this.#writes
    this.#ports.later(() => {
      if (this.#isDirty && write === this.#writes) this.flush()
    })
  }

  /** Runs once everything that was written so far is durable. */
  whenDurable(run: () => void): void {
    if (this.#isDirty) this.#held.push(run)
    else run()
  }

  flush(): void {
    if (!this.#isDirty) return
    if (this.#openAsync > 0) {
      this.#isFlushDue = true
      return
    }
    if (this.#unread > 0) return this.#ports.onFailure()
    this.database.command('COMMIT')
    this.#isDirty = false
    this.durableAlarmMs = this.alarmMs
    this.#ports.onDurable()
    for (const run of this.#held.splice(0)) run()
  }

  /** The object has died: what was not durable is gone, and what waited for it is never sent. */
  lose(): void {
    this.#held.length = 0
    this.#savepoints.length = 0
    this.#openAsync = 0
    this.#unread = 0
    this.#isFlushDue = false
    if (this.#isDirty) this.database.command('ROLLBACK')
    this.#isDirty = false
    this.alarmMs = this.durableAlarmMs
    // Of the connection, not of the database.
    this.database.command('PRAGMA recursive_triggers = OFF')
    this.database.checkSchema()
  }

  transactionSync<Result>(callback: () => Result): Result {
    this.#begin()
    try {
      const result = callback()
      this.#release()
      return result
    } catch (error) {
      this.#rollBack()
      throw error
    }
  }

  /** Nothing becomes durable before its end. */
  async transaction<Result>(callback: () => Promise<{ result: Result; isRolledBack: boolean }>): Promise<Result> {
    this.#openAsync += 1
    this.#begin()
    try {
      const { result, isRolledBack } = await callback()
      if (isRolledBack) this.#rollBack()
      else this.#release()
      return result
    } catch (error) {
      this.#rollBack()
      throw error
    } finally {
      this.#openAsync -= 1
      if (this.#openAsync === 0 && this.#isFlushDue) {
        this.#isFlushDue = false
        this.#ports.later(() => this.flush())
      }
    }
  }

  setAlarm(atMs: number | null): void {
    this.write()
    this.alarmMs = atMs
  }

  /** Without a write of the object's. */
  dropAlarm(): void {
    this.alarmMs = null
    this.durableAlarmMs = null
  }

  /** What was written before becomes durable on its own. */
  deleteAll(): void {
    this.flush()
    this.write()
    this.database.command('PRAGMA defer_foreign_keys = ON')
    const { rows } = this.database.run(
      'SELECT printf(\'DROP %s IF EXISTS "%w"\', type, name) FROM sqlite_master ' +
        "WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'",
      [],
    )
    for (const [drop] of rows) if (typeof drop === 'string') this.database.run(drop, [])
    this.alarmMs = null
  }

  copy(): DiskImage {
    return { database: this.database.serialize(), alarmMs: this.durableAlarmMs }
  }

  /** Puts a copy in the place of what is there. Nothing runs over it meanwhile. */
  restore({ database, alarmMs }: DiskImage): void {
    this.lose()
    this.database.deserialize(database)
    this.database.command('PRAGMA foreign_keys = ON')
    this.alarmMs = alarmMs
    this.durableAlarmMs = alarmMs
  }

  #begin(): void {
    this.write()
    this.#savepoints.push(this.alarmMs)
    this.database.command(`SAVEPOINT s${this.#savepoints.length}`)
  }

  #release(): void {
    this.database.command(`RELEASE s${this.#savepoints.length}`)
    this.#savepoints.pop()
  }

  #rollBack(): void {
    const name = `s${this.#savepoints.length}`
    this.database.command(`ROLLBACK TO ${name}; RELEASE ${name}`)
    this.alarmMs = this.#savepoints.pop() ?? null
    this.database.checkSchema()
  }
}
