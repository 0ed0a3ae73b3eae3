import { Actor } from '@cloudflare/actors'
import { ExactlyOnceContext } from 'durable-outbox'

/** An actor of Cloudflare's actors, whose schedules use the object's alarm. */
export class TimedActor extends Actor<Cloudflare.Env> {
  cdc = new ExactlyOnceContext(this.ctx, { source: 'Actor/timed', baseAlarm: (info) => super.alarm(info) })

  override alarm(info?: AlarmInvocationInfo): Promise<void> {
    return this.cdc.alarm(info)
  }

  emit(type: string): void {
    this.cdc.transactionSync((tx) => tx.emit({ type }))
  }

  async remindIn(seconds: number): Promise<void> {
    await this.alarms.schedule(seconds, 'remind')
  }

  remind(): void {
    this.emit('Reminded')
  }
}
