import { CDCDurableObject, type CDCOptions, type EventInput } from 'durable-outbox'

export { FakePipeline } from './fake-pipeline.ts'

/** Notes in a plain table, so that a test can see a mutation and its event apart. */
export class Notes extends CDCDurableObject<Cloudflare.Env> {
  declare ctx: CDCDurableObject['ctx']

  constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
    super(ctx, env)
    this.#createTable()
  }

  protected override configure(): CDCOptions {
    return { random: () => 0.5, batchEventsMax: 5, lingerMs: 3_600_000, retryDelayMsMin: 3_600_000, retryDelayMsMax: 7_200_000, recoveryMs: 3_600_000 }
  }

  #createTable(): void {
    this.ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT)')
  }

  write(texts: string[]): void {
    this.ctx.transactionSync((tx) => {
      for (const text of texts) {
        tx.execute('INSERT INTO notes (text) VALUES (?)', text)
        tx.emit({ type: 'Note.written', data: { text } })
      }
    })
  }

  emit(event: EventInput): void {
    this.ctx.transactionSync((tx) => {
      tx.execute("INSERT INTO notes (text) VALUES ('beside the event')")
      tx.emit(event)
    })
  }

  notes(): string[] {
    return this.ctx.storage.sql
      .exec<{ text: string }>('SELECT text FROM notes ORDER BY id')
      .toArray()
      .map((row) => row.text)
  }
}

export default {
  fetch(): Response {
    return new Response(null, { status: 404 })
  },
}
