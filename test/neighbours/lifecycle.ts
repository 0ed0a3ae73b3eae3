import { DurableObject } from 'cloudflare:workers'
import { Lifecycle, LifecycleCapability } from 'agents/lifecycle'
import { ExactlyOnceContext } from 'durable-outbox'

/** A capability that has the SDK wake it. */
class Waking extends LifecycleCapability {
  readonly #onWake: () => void

  constructor(onWake: () => void) {
    super('waking')
    this.#onWake = onWake
  }

  async wakeIn(ms: number): Promise<void> {
    await this.lifecycle.jobs.push({ id: 'wake', fn: 'wake', time: Date.now() + ms })
  }

  onJob(): undefined {
    this.#onWake()
  }
}

/** A plain object with the lifecycle of the Agents SDK, whose job queue believes that the alarm is its own. */
export class Living extends DurableObject {
  readonly waking = new Waking(() => this.emit('Woken'))
  readonly lifecycle = new Lifecycle(this).use(this.waking)
  readonly cdc = new ExactlyOnceContext(this.ctx, { source: 'DO/Living', baseAlarm: () => this.lifecycle.alarm() })

  override alarm(info?: AlarmInvocationInfo): Promise<void> {
    return this.cdc.alarm(info)
  }

  emit(type: string): void {
    this.cdc.transactionSync((tx) => tx.emit({ type }))
  }
}
