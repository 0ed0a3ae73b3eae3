// Objects with a rougher fate than a warehouse: they are emptied, put back to an earlier copy, and killed inside `deleteAll` and
// inside table snapshots.

import { CDCDurableObject, type CDCOptions, DocumentStore } from 'durable-outbox'
import { passThrough } from './activity.ts'
import { HASTY } from './hasty.ts'
import { nowIn } from './clock.ts'
import type { ChaosEnv } from './env.ts'
import type { CellarReport } from './operation.ts'

/** Few, so that a snapshot has many chunks. */
const CHUNK_ROWS = 3

export class Cellar extends CDCDurableObject<ChaosEnv> {
  readonly #bottles = new DocumentStore<{ token: string }>(this.ctx, 'Bottle')

  constructor(ctx: DurableObjectState, env: ChaosEnv) {
    super(pausingInSnapshots(ctx), env)
  }

  protected override configure(): CDCOptions {
    return { ...HASTY, now: () => nowIn(this.env) }
  }

  /** All of them, or none. */
  async fill(tokens: readonly string[]): Promise<void> {
    await this.ctx.transaction(() => {
      for (const token of tokens) this.#bottles.create({ $id: token, token })
    })
  }

  takeStock(): void {
    this.outbox.snapshot('document/Bottle', { chunk: CHUNK_ROWS })
  }

  async empty(): Promise<void> {
    const emptying = this.ctx.storage.deleteAll()
    await passThrough('delete-all')
    await emptying
  }

  report(): CellarReport {
    const { epoch, lastLSN, pendingEvents, deadLetters, snapshots } = this.outbox.stats()
    const bottles = this.#bottles.query({ limit: 1_000 }).map(({ token }) => token)
    const isTakingStock = snapshots.some(({ endedAt }) => endedAt === undefined)
    return { bottles, epoch, lastLSN, pendingEvents, deadLetters, isTakingStock }
  }
}

/** A snapshot waits for the disk after each chunk, and nothing else does. */
function pausingInSnapshots(ctx: DurableObjectState): DurableObjectState {
  const sync = ctx.storage.sync.bind(ctx.storage)
  ctx.storage.sync = async () => {
    await sync()
    await passThrough('snapshot')
  }
  return ctx
}
