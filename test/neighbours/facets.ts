import { exports } from 'cloudflare:workers'
import { CDCDurableObject, type OutboxStats } from 'durable-outbox'
import { fakePipeline } from 'durable-outbox/testing'

const RETRY_MS = 200

/** Runs as a facet of a `Parent`: with a database of its own, and without an alarm. */
export class Child extends CDCDurableObject {
  protected override configure() {
    return { ns: 'facets', hasAlarm: false, pipeline: fakePipeline() }
  }

  /** Caught here: an error that crosses RPC is also an unhandled rejection of the test run. */
  alarmProblem(): string {
    try {
      this.alarms.set('never', Date.now())
      return 'there is none'
    } catch (error) {
      return String(error)
    }
  }

  emit(type: string): void {
    this.ctx.transactionSync((tx) => tx.emit({ type }))
  }
}

/** Has the alarm that its facets lack. */
export class Parent extends CDCDurableObject {
  async emitInChild(name: string, type: string): Promise<void> {
    // Before the facet commits: then whatever is pending there is drained, also if the runtime ends in between.
    this.alarms.set(`drain ${name}`, Date.now())
    await this.#child(name).emit(type)
  }

  protected override async onAlarm(alarm: string): Promise<void> {
    using outbox = await this.#child(alarm.replace('drain ', '')).outbox
    const { pendingEvents } = await outbox.flush()
    if (pendingEvents > 0) this.alarms.set(alarm, Date.now() + RETRY_MS)
  }

  async alarmProblemOfChild(name: string): Promise<string> {
    return this.#child(name).alarmProblem()
  }

  async statsOfChild(name: string): Promise<OutboxStats> {
    using outbox = await this.#child(name).outbox
    return outbox.stats()
  }

  #child(name: string) {
    return this.ctx.facets.get<Child>(name, () => ({ class: exports.Child }))
  }
}
