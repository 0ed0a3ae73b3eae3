import { betterAuth, type BetterAuthOptions } from 'better-auth'
import { getMigrations } from 'better-auth/db/migration'
import { CDCDurableObject } from 'durable-outbox'
import { type DatabaseIntrospector, type Kysely, sql, type TableMetadata } from 'kysely'
import { DODialect } from 'kysely-do'

/** Kysely's own introspector reads the platform's tables too, which the platform does not allow once an alarm was set. */
class Dialect extends DODialect {
  override createIntrospector(db: Kysely<unknown>): DatabaseIntrospector {
    const getTables = async (): Promise<TableMetadata[]> => {
      const { rows } = await sql<{ table: string; name: string; type: string; isRequired: number }>`
        SELECT m.name AS "table", c.name, c.type, c."notnull" AS isRequired
        FROM sqlite_master m JOIN pragma_table_info(m.name) c
        WHERE m.type = 'table' AND substr(m.name, 1, 4) <> '_cf_'`.execute(db)
      return Array.from(
        Map.groupBy(rows, ({ table }) => table),
        ([name, columns]) => ({
          name,
          isView: false,
          isForeign: false,
          columns: columns.map((column) => ({
            name: column.name,
            dataType: column.type,
            isNullable: column.isRequired === 0,
            isAutoIncrementing: false,
            hasDefaultValue: false,
          })),
        }),
      )
    }
    return { getSchemas: async () => [], getTables }
  }
}

/** Accounts of better-auth in the object's own database: who signs up, and when, is in the log, and no secret is. */
export class Accounts extends CDCDurableObject {
  readonly #options = {
    baseURL: 'https://example.com',
    secret: 'a-secret-that-is-long-enough-for-a-test',
    database: { dialect: new Dialect({ ctx: this.ctx }), type: 'sqlite' },
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
