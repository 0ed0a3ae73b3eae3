import { ExactlyOnceContext } from 'durable-outbox'
import { Server } from 'partyserver'

/** A server of PartyServer, which has an alarm of its own for `onAlarm`. */
export class Room extends Server {
  cdc = new ExactlyOnceContext(this.ctx, { source: 'Party/room', baseAlarm: () => super.alarm() })

  override alarm(info?: AlarmInvocationInfo): Promise<void> {
    return this.cdc.alarm(info)
  }

  emit(type: string): void {
    this.cdc.transactionSync((tx) => tx.emit({ type }))
  }

  override onAlarm(): void {
    this.emit('Rang')
  }
}
