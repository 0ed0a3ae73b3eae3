import { betterAuth, type BetterAuthOptions } from 'better-auth'
import { getMigrations } from 'better-auth/db/migration'
import { CDCDurableObject } from 'durable-outbox'
import { ObjectDialect } from '../object-dialect.ts'

/** Accounts of better-auth in the object's own database: who signs up, and when, is in the log, and no secret is. */
export class Accounts extends CDCDurableObject {
  readonly #options = {
    baseURL: 'https://example.com',
    secret: 'a-secret-that-is-long-enough-for-a-test',
    database: { dialect: new ObjectDialect({ ctx: this.ctx }), type: 'sqlite' },
    emailAndPassword: { enabled: true },
    telemetry: { enabled: false },
  } satisfies BetterAuthOptions
  readonly #auth = betterAuth(this.#options)

  constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
    super(ctx, env)
    void ctx.blockConcurrencyWhile(async () => {
      const { runMigrations } = await getMigrations(this.#options)
      await runMigrations()
      this.ctx.capture('user', { redact: { email: 'mask' } })
      this.ctx.capture('session', { columns: ['id', 'userId', 'createdAt'] })
    })
  }

  override fetch(request: Request): Promise<Response> {
    return this.#auth.handler(request)
  }
}
