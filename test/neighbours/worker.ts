import { DurableObject } from 'cloudflare:workers'
import { Agent } from 'agents'
import { ExactlyOnceContext, type OutboxAdmin } from 'durable-outbox'

export { FakePipeline } from 'durable-outbox/testing'
export { Accounts } from './accounts.ts'
export { TimedActor } from './actor.ts'
export { Child, Parent } from './facets.ts'
export { Living } from './lifecycle.ts'
export { Room } from './room.ts'

/** An agent of the real SDK, whose schedules use the alarm that the relay needs too. */
export class Reminders extends Agent {
  cdc = new ExactlyOnceContext(this.ctx, {
    source: 'Agent/reminders',
    onAlarm: (name) => this.emit(`Named.${name}`),
    baseAlarm: () => super.alarm(),
  })

  get outbox(): OutboxAdmin {
    return this.cdc.outbox
  }

  override alarm(info?: AlarmInvocationInfo): Promise<void> {
    return this.cdc.alarm(info)
  }

  emit(type: string): void {
    this.cdc.transactionSync((tx) => tx.emit({ type }))
  }

  /** Has the SDK call `remind` in so many seconds. */
  async remindIn(seconds: number): Promise<string> {
    return (await this.schedule(seconds, 'remind')).id
  }

  remind(): void {
    this.emit('Reminded')
  }

  named(name: string, when: number): void {
    this.cdc.alarms.set(name, when)
  }
}

/** A base class with an alarm of its own, which fails or takes its time if a test wants that. */
class Timer extends DurableObject {
  readonly ran: AlarmInvocationInfo[] = []
  onRun: () => void | Promise<void> = () => undefined

  override async alarm(info?: AlarmInvocationInfo): Promise<void> {
    if (info !== undefined) this.ran.push(info)
    await this.onRun()
  }
}

/** The clock of each `Timed` object, by name, as far ahead as a test has moved it. */
export const aheadMs = new Map<string, number>()

export class Timed extends Timer {
  cdc = new ExactlyOnceContext(this.ctx, {
    source: 'DO/Timed',
    baseAlarm: (info) => super.alarm(info),
    now: () => Date.now() + (aheadMs.get(this.ctx.id.name ?? '') ?? 0),
  })

  override alarm(info?: AlarmInvocationInfo): Promise<void> {
    return this.cdc.alarm(info)
  }
}
