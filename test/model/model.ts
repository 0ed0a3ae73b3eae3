// What an object must hold, in plain arrays. It knows what was committed, and is told how far delivery has come: that the
// outbox decides itself, and the invariants check whether it may.

import type { Block, EventType } from './steps.ts'

export const MAX_BACKLOG_EVENTS = 20

/** A committed event. What the model can't know beforehand is filled in when it is first seen, and must not change. */
export interface Entry {
  readonly lsn: number
  readonly type: string
  readonly data: Record<string, unknown>
  readonly timeMs: number
  /** When it happened, if it has been committed again since. */
  readonly happenedMs?: number
  readonly redrivenFrom?: number
  id?: string
  txid?: string
  /** Why it is a dead letter, and the id of the record that takes its place on the wire. */
  refusal?: { reason: string; recordId?: string }
}

/** The log of one epoch. */
export interface EpochLog {
  epoch?: string
  readonly source: string
  readonly firstLSN: number
  readonly entries: Entry[]
  ackedLSN: number
}

/** A block with its events numbered in the order in which they are emitted. */
export interface NumberedBlock {
  readonly kind: Block['kind']
  readonly label: string
  readonly parts: readonly (NumberedEvent | NumberedBlock)[]
  readonly fails: boolean
}
export interface NumberedEvent {
  readonly type: EventType
  readonly n: number
}

export type Outcome = 'committed' | 'on purpose' | 'outbox-full'
type Draft = Pick<Entry, 'type' | 'data' | 'happenedMs' | 'redrivenFrom' | 'id'>
type Committed = { notes: string[]; rows: Draft[][] }

export class Model {
  readonly logs: EpochLog[]
  /** Dead letters by LSN. */
  readonly letters = new Map<number, Entry>()
  notes: string[] = []
  isPaused = false
  namedAlarmMs: number | undefined
  /** The name of the class now. */
  source = 'DO/Notes'
  /** Its name when the object woke. */
  #wokenSource = this.source
  nowMs: number
  /** The latest time that the clock has shown. */
  latestMs: number
  #numbers = 0

  constructor(nowMs: number) {
    this.nowMs = nowMs
    this.latestMs = nowMs
    this.logs = [this.#begin(1, [])]
  }

  get log(): EpochLog {
    const log = this.logs.at(-1)
    if (log === undefined) throw new Error('a model has a log')
    return log
  }

  get lastLSN(): number {
    return this.log.firstLSN + this.log.entries.length - 1
  }

  get pendingEvents(): number {
    return this.lastLSN - this.log.ackedLSN
  }

  /** Numbers the events and blocks of a block, to tell them apart. */
  number({ kind, parts, fails }: Block): NumberedBlock {
    const label = `block ${++this.#numbers}`
    const numbered = parts.map((part) =>
      typeof part === 'string' ? { type: part, n: ++this.#numbers } : this.number(part),
    )
    return { kind, label, fails, parts: numbered }
  }

  /** Commits a whole block or nothing. */
  transact(block: NumberedBlock, ids: ReadonlyMap<number, string>): Outcome {
    const committed: Committed = { notes: [], rows: [] }
    const outcome = block.kind === 'platform' ? this.#around(block, committed) : this.#ours(block, committed)
    if (outcome === 'committed')
      this.#keep({
        notes: committed.notes,
        rows: committed.rows.map((row) =>
          row.map((draft) => ({ ...draft, id: ids.get(Number(draft.data['n'])) ?? '' })),
        ),
      })
    return outcome
  }

  /** Removes dead letters and commits one event for each. */
  judge(lsns: readonly number[], draftOf: (letter: Entry) => Draft): Outcome {
    const letters = lsns.flatMap((lsn) => this.letters.get(lsn) ?? [])
    if (letters.length === 0) return 'committed'
    if (this.#isFull(letters.length, 0)) return 'outbox-full'
    for (const { lsn } of letters) this.letters.delete(lsn)
    this.#keep({ notes: [], rows: [letters.map(draftOf)] })
    return 'committed'
  }

  /** The object wakes: in a new epoch if its class has a new name and nothing is pending. */
  wake(): void {
    this.#wokenSource = this.source
    if (this.log.source !== this.source && this.pendingEvents === 0) this.#beginAnew()
  }

  /** Another object wakes with a copy of the database. */
  copy(): void {
    this.#wokenSource = this.source
    this.#beginAnew()
  }

  deleteAll(): void {
    this.logs.push(this.#begin(1, []))
    this.letters.clear()
    this.notes = []
    this.isPaused = false
    this.namedAlarmMs = undefined
  }

  tick(ms: number): void {
    this.nowMs += ms
    this.latestMs = Math.max(this.latestMs, this.nowMs)
  }

  /** Follows the outbox: the pipeline has accepted everything up to an LSN. */
  acknowledge(lsn: number): void {
    this.log.ackedLSN = lsn
  }

  /** Follows the outbox: an event became a dead letter. */
  moveToDeadLetters(lsn: number, reason: string): void {
    const entry = this.log.entries[lsn - this.log.firstLSN]
    if (entry === undefined) throw new Error(`I3: LSN ${lsn} became a dead letter, and was never committed`)
    entry.refusal = { reason }
    this.letters.set(lsn, entry)
  }

  #beginAnew(): void {
    const { entries, ackedLSN } = this.log
    // What is pending goes on in the new epoch; from here on it may fare otherwise than under the old one.
    const pending = entries.filter((entry) => entry.lsn > ackedLSN).map((entry) => ({ ...entry }))
    this.logs.push(this.#begin(ackedLSN + 1, pending))
  }

  #begin(firstLSN: number, entries: Entry[]): EpochLog {
    return { source: this.#wokenSource, firstLSN, entries, ackedLSN: firstLSN - 1 }
  }

  /** A transaction of ours with everything inside it: one row. */
  #ours(block: NumberedBlock, committed: Committed): Outcome {
    const { notes, row } = gather(block)
    if (block.fails) return 'on purpose'
    if (this.#isFull(row.length, committed.rows.flat().length)) return 'outbox-full'
    committed.notes.push(...notes)
    if (row.length > 0) committed.rows.push(row)
    return 'committed'
  }

  /** A transaction of the platform around ours: each event in it is its own transaction, and fails with it. */
  #around(block: NumberedBlock, committed: Committed): Outcome {
    const before = { notes: committed.notes.length, rows: committed.rows.length }
    const rollBack = (outcome: Outcome): Outcome => {
      committed.notes.length = before.notes
      committed.rows.length = before.rows
      return outcome
    }
    committed.notes.push(block.label)
    for (const part of block.parts) {
      if ('n' in part) {
        if (this.#isFull(1, committed.rows.flat().length)) return rollBack('outbox-full')
        committed.notes.push(String(part.n))
        committed.rows.push([draftOf(part)])
      } else if (part.kind === 'platform') this.#around(part, committed)
      else this.#ours(part, committed)
    }
    return block.fails ? rollBack('on purpose') : 'committed'
  }

  #isFull(events: number, uncommitted: number): boolean {
    const before = this.pendingEvents + uncommitted
    return events > 0 && before > 0 && before + events > MAX_BACKLOG_EVENTS
  }

  #keep({ notes, rows }: Committed): void {
    this.notes.push(...notes)
    for (const draft of rows.flat()) this.log.entries.push({ ...draft, lsn: this.lastLSN + 1, timeMs: this.nowMs })
  }
}

/** What a block inside one of ours leaves behind: nothing of the blocks in it that failed. */
function gather(block: NumberedBlock): { notes: string[]; row: Draft[] } {
  const notes = [block.label]
  const row: Draft[] = []
  for (const part of block.parts) {
    if ('n' in part) {
      notes.push(String(part.n))
      row.push(draftOf(part))
    } else if (!part.fails) {
      const inner = gather(part)
      notes.push(...inner.notes)
      row.push(...inner.row)
    }
  }
  return { notes, row }
}

function draftOf({ type, n }: NumberedEvent): Draft {
  return { type, data: { n } }
}
