import { DurableObject } from 'cloudflare:workers'
import { CDCError } from '../error.ts'
import { ExactlyOnceContext, type Transactions } from './exactly-once-context.ts'
import type { CDCOptions } from './options.ts'

/** The platform's `ctx` with two methods more. */
export interface CDCState<Props = {}> extends DurableObjectState<Props>, Transactions {}

/**
 * A Durable Object with an outbox: what `this.ctx.transaction` changes and the events that it emits commit together,
 * and a relay driven by the object's alarm brings the events to the pipeline.
 */
export abstract class CDCDurableObject<Env = Cloudflare.Env, Props = {}> extends DurableObject<Env, Props> {
  declare protected ctx: CDCState<Props>
  readonly #context: ExactlyOnceContext

  /** @throws {CDCError} `invalid-config`, `schema-newer` or `migration-failed`: then the object refuses to run. */
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env)
    if (this.alarm !== CDCDurableObject.prototype.alarm)
      throw new CDCError(
        'invalid-config',
        `${this.constructor.name}: an object has one alarm and the relay needs it, so alarm() can't be overridden`,
      )
    const options = this.configure()
    this.#context = new ExactlyOnceContext(ctx, { source: `DO/${this.constructor.name}`, ...options })
    // Defined on ctx itself, as the platform accepts nothing but its own object there.
    Object.defineProperties(ctx, {
      transaction: { value: this.#context.transaction.bind(this.#context) },
      transactionSync: { value: this.#context.transactionSync.bind(this.#context) },
    })
  }

  /**
   * Override to change options. Runs inside the constructor: `this.ctx` and `this.env` are there, and the fields of
   * the subclass are not.
   */
  protected configure(): CDCOptions {
    return {}
  }

  override async alarm(info?: AlarmInvocationInfo): Promise<void> {
    await this.#context.alarm(info)
  }
}
