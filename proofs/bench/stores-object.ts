// The object whose stores are timed: each against the same SQL without events, row by row and in batches.

import { CDCDurableObject, type CDCOptions } from 'durable-outbox'
import { totalRows, RowMeter } from './row-meter.ts'
import { storeLoads } from './stores/index.ts'
import type { Side, StoreLoad } from './stores/load.ts'

/** What to time: rounds of turns, in each of which both sides write the same rows. */
export interface StoreTask {
  store: string
  kind: keyof Side
  rounds: number
  turns: number
  /** Rows of a turn, and of a transaction if the kind is `batch`. */
  rows: number
  rowsPerBatch: number
}

/** Milliseconds of each round. */
export interface StoreTimes {
  rounds: { bare: number; captured: number }[]
  /** Rows written for each row of the user's, before the outbox is drained. */
  rowsWritten: { bare: number; captured: number }
}

/** Longer than any figure takes: the alarm must not run while time is measured. */
const NEVER_MS = 3_600_000
const WARM_UP_ROUNDS = 2

export class StoresObject extends CDCDurableObject {
  #index = 0

  protected override configure(): CDCOptions {
    // Delivered rows are deleted at once, so that the log is equally short in each turn.
    return { lingerMs: NEVER_MS, retentionMs: 0 }
  }

  async run(task: StoreTask): Promise<StoreTimes> {
    const createLoad = storeLoads[task.store]
    if (createLoad === undefined) throw new Error(`bench: no store is named ${task.store}`)
    const load = createLoad(this.ctx)
    const rounds: StoreTimes['rounds'] = []
    for (let round = 0; round < WARM_UP_ROUNDS + task.rounds; round += 1) {
      const times = { bare: 0, captured: 0 }
      // The sides take turns of a few milliseconds, so that other load on the machine slows both of them.
      for (let turn = 0; turn < task.turns; turn += 1) {
        times.bare += await this.#time(() => this.#write(load.bare, task), load)
        times.captured += await this.#time(() => this.#write(load.captured, task), load)
      }
      if (round >= WARM_UP_ROUNDS) rounds.push(times)
    }
    const meter = new RowMeter(this.ctx.storage)
    const written = (side: Side): number => {
      meter.take()
      this.#write(side, task)
      return totalRows(meter.take()) / task.rows
    }
    return { rounds, rowsWritten: { bare: written(load.bare), captured: written(load.captured) } }
  }

  #write(side: Side, { kind, rows, rowsPerBatch }: StoreTask): void {
    const step = kind === 'batch' ? rowsPerBatch : 1
    for (let row = 0; row < rows; row += step) side[kind](this.#index + row, step)
    this.#index += rows
  }

  /** Times work that is done in one turn, in which no alarm can run, and then removes its rows and events. */
  async #time(work: () => void, load: StoreLoad): Promise<number> {
    const start = performance.now()
    work()
    const elapsed = performance.now() - start
    await this.alarm()
    load.clear()
    await this.ctx.storage.sync()
    return elapsed
  }
}
