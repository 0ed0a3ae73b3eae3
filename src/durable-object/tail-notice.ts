// Tells the object's tail that the log has grown, while somebody follows it. An object that nobody follows pays nothing for
// this. One that somebody follows has a table for it, so that it still knows when it wakes: a table and not a column, as a
// column would cost every object a migration.
//
// A notice holds no event. The tail reads the log by a call of its own, which the platform lets in only after the open
// transaction, and answers only once all that was written is durable. So no notice is too early, and one that is lost costs time.

import { CDCError, reasonOf } from '../error.ts'
import type { TailStub } from '../tail-binding.ts'

interface TailNoticePorts {
  readonly exec: SqlStorage['exec']
  /** The object's tail. @throws {CDCError} `invalid-config` if there can be none. */
  readonly tail: () => TailStub
  /** Keeps the object awake until a promise has settled. */
  readonly waitUntil: (promise: Promise<unknown>) => void
}

export class TailNotice {
  readonly #ports: TailNoticePorts
  #isFollowed: boolean
  /** Counts the times that the tail has asked for notices: an answer to an older notice must not end them. */
  #asked = 0
  #isDue = false
  #sending: Promise<void> | undefined

  constructor(ports: TailNoticePorts) {
    this.#ports = ports
    this.#isFollowed = ports.exec("SELECT 1 FROM sqlite_master WHERE name = '_cdc_tail'").toArray().length > 0
    // What was committed before the object was stopped may not have been told.
    this.logGrew()
  }

  /** Begins to tell the tail. @throws {CDCError} `invalid-config` if there is no tail to tell. */
  follow(): void {
    this.#ports.tail()
    this.#ports.exec('CREATE TABLE IF NOT EXISTS _cdc_tail (followed INTEGER)')
    this.#isFollowed = true
    this.#asked += 1
  }

  /** To be called when events were appended, and when the log has ended because the storage was emptied. */
  logGrew(): void {
    if (!this.#isFollowed) return
    this.#isDue = true
    this.sendDue()
  }

  /** Sends the notice that could not be sent before. */
  sendDue(): void {
    if (!this.#isDue || this.#sending !== undefined) return
    this.#sending = this.#send().finally(() => (this.#sending = undefined))
    this.#ports.waitUntil(this.#sending)
  }

  /** One at a time: what is committed meanwhile is told by the next one. */
  async #send(): Promise<void> {
    try {
      while (this.#isDue) {
        // All that this turn commits is one notice.
        await Promise.resolve()
        this.#isDue = false
        const asked = this.#asked
        const isFollowed = await this.#ports.tail().poke()
        if (!isFollowed && asked === this.#asked) this.#forget()
      }
    } catch (error) {
      // The next commit, alarm or wake tries again; and the tail looks for itself now and then.
      this.#isDue = true
      console.warn(`tail: the notice was not sent: ${reasonOf(error)}`)
    }
  }

  #forget(): void {
    this.#isFollowed = false
    this.#isDue = false
    this.#ports.exec('DROP TABLE IF EXISTS _cdc_tail')
  }
}

/** For an outbox over a drizzle database, which does not know its object. */
export function noTail(): never {
  throw new CDCError('invalid-config', 'tail: this outbox does not know its object; pass ctx to ExactlyOnceContext')
}
