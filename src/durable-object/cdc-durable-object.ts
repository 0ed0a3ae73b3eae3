// The base class of a user's objects: a thin one over `ExactlyOnceContext`.

import { DurableObject } from 'cloudflare:workers'
import { CDCError } from '../error.ts'
import type { Alarms, NamedAlarmInfo } from './alarms.ts'
import type { CaptureContext } from '../capture/capture-context.ts'
import type { Consumption } from '../inbox/consumer.ts'
import { hideFromRPC } from '../hide-from-rpc.ts'
import { ExactlyOnceContext } from './exactly-once-context.ts'
import type { CDCOptions } from './options.ts'
import type { OutboxAdmin } from '../admin/outbox-admin.ts'

/** The platform's `ctx`, with transactions in which changes and events commit together. */
export interface CDCState<Props = {}, Types = unknown>
  extends DurableObjectState<Props>, CaptureContext<Types>, Consumption<Types> {
  readonly storage: DurableObjectStorage
}

/**
 * A Durable Object with an outbox. The changes and the events of `this.ctx.transaction` commit together, and a relay that
 * the object's alarm drives sends the events to the pipeline.
 *
 * @typeParam Types of the events that it emits: `typeof` what `defineEvents` returned, which `configure()` returns as `events`.
 */
export abstract class CDCDurableObject<Env = Cloudflare.Env, Props = {}, Types = unknown> extends DurableObject<
  Env,
  Props
> {
  declare protected ctx: CDCState<Props, Types>
  /** Alarms by name: `this.alarms.set('trial-ends', date)`, and then `onAlarm('trial-ends', info)`. */
  protected readonly alarms: Alarms
  readonly #context: ExactlyOnceContext

  /** @throws {CDCError} `invalid-config`, `schema-newer` or `migration-failed`: then the object does not start. */
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env)
    hideFromRPC(this, 'configure', 'onAlarm')
    if (this.alarm !== CDCDurableObject.prototype.alarm)
      throw new CDCError(
        'invalid-config',
        `${this.constructor.name}: an object has only one alarm and the relay needs it, so alarm() can't be overridden; ` +
          'define onAlarm(name, info), and set alarms by name: this.alarms.set(name, when)',
      )
    this.#context = new ExactlyOnceContext(ctx, {
      source: `DO/${this.constructor.name}`,
      className: this.constructor.name,
      onAlarm: (name, info) => this.onAlarm(name, info),
      ...this.configure(),
    })
    this.alarms = this.#context.alarms
    // Defined on the platform's own ctx, because the platform accepts no other object in its place.
    Object.defineProperties(ctx, {
      transaction: { value: this.#context.transaction.bind(this.#context) },
      transactionSync: { value: this.#context.transactionSync.bind(this.#context) },
      processOnce: { value: this.#context.processOnce.bind(this.#context) },
      processOnceSync: { value: this.#context.processOnceSync.bind(this.#context) },
      processEach: { value: this.#context.processEach.bind(this.#context) },
      processEachSync: { value: this.#context.processEachSync.bind(this.#context) },
      capture: { value: this.#context.capture.bind(this.#context) },
      uncapture: { value: this.#context.uncapture.bind(this.#context) },
      attach: { value: this.#context.attach.bind(this.#context) },
    })
  }

  /** The admin RPC: `await (await env.CUSTOMERS.getByName('acme').outbox).stats()`. */
  get outbox(): OutboxAdmin {
    return this.#context.outbox
  }

  /**
   * Override to change options. Runs inside the constructor: `this.ctx` and `this.env` exist, but the fields of the
   * subclass don't.
   */
  protected configure(): CDCOptions<Types> {
    return {}
  }

  /**
   * Override to run named alarms. Each runs at least once; one that throws is tried again after 2 s, 4 s, … 64 s, and
   * then dropped. An alarm that fails delays neither the others nor the relay.
   */
  protected onAlarm(name: string, _info: NamedAlarmInfo): void | Promise<void> {
    throw new CDCError('invalid-config', `alarm ${name}: ${this.constructor.name} has no onAlarm(name, info)`)
  }

  override async alarm(info?: AlarmInvocationInfo): Promise<void> {
    await this.#context.alarm(info)
  }
}
