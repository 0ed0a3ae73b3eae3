// Runs a block of a script inside the object, as a user's code would.

import type { Transaction } from 'durable-outbox'
import { failureOf } from '../notes.ts'
import type { Notes } from '../worker.ts'
import type { NumberedBlock, NumberedEvent, Outcome } from './model.ts'

/** Where a block runs: the object, the innermost transaction of ours, and the ids of the emitted events by number. */
interface Run {
  readonly notes: Notes
  readonly tx: Transaction | undefined
  readonly ids: Map<number, string>
}

/** Runs a block. @returns how it ended. */
export async function runBlock(notes: Notes, block: NumberedBlock, ids: Map<number, string>): Promise<Outcome> {
  const run = { notes, tx: undefined, ids }
  let hasEnded = false
  const failure = await failureOf(async () => {
    await (block.kind === 'async' ? runAsync(run, block) : runSync(run, block))
    hasEnded = true
    throw new Error('committed')
  })
  if (hasEnded) return 'committed'
  if (failure.code === 'outbox-full') return 'outbox-full'
  if (failure.message === 'on purpose') return 'on purpose'
  throw new Error(`a transaction failed with ${failure.code ?? 'no code'}: ${failure.message}`)
}

function runAsync(run: Run, block: NumberedBlock): Promise<void> {
  return run.notes.ctx.transaction(async (tx) => {
    const inside = { ...run, tx }
    note(inside, block.label)
    for (const part of block.parts) {
      await Promise.resolve()
      if ('n' in part) emit(inside, part)
      else if (part.kind === 'async') await runAsync(inside, part).catch(() => undefined)
      else attempt(() => runSync(inside, part))
    }
    if (block.fails) throw new Error('on purpose')
  })
}

function runSync(run: Run, block: NumberedBlock): void {
  const runParts = (tx: Transaction | undefined): void => {
    const inside = { ...run, tx }
    note(inside, block.label)
    for (const part of block.parts) {
      if ('n' in part) emit(inside, part)
      else attempt(() => runSync(inside, part))
    }
    if (block.fails) throw new Error('on purpose')
  }
  const { ctx } = run.notes
  if (block.kind === 'platform') ctx.storage.transactionSync(() => runParts(run.tx))
  else ctx.transactionSync(runParts)
}

/** Outside our transactions an event needs its own. */
function emit(run: Run, event: NumberedEvent): void {
  const { tx, notes, ids } = run
  if (tx === undefined) return notes.ctx.transactionSync((own) => emit({ ...run, tx: own }, event))
  note(run, String(event.n))
  ids.set(event.n, tx.emit({ type: event.type, data: { n: event.n } }))
}

function note({ notes }: Run, text: string): void {
  notes.ctx.storage.sql.exec('INSERT INTO notes (text) VALUES (?)', text)
}

/** A block that fails inside another one, which continues. */
function attempt(run: () => void): void {
  try {
    run()
  } catch {
    // The result shows in what is left.
  }
}
