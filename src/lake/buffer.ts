// What is durable here and not in the table yet: parts in the order of their coming, and those that are held back because
// LSNs before them are missing.

import type { EventRecord } from '../event/record.ts'
import { type LSNRange, unite } from './ranges.ts'
import type { Origin, Part, Run } from './intake.ts'

/** A part of the buffer, from its beginning, that one commit brings into the table. */
export interface Slice {
  readonly throughSeq: number
  /** Of the events with a place in a log, which ones they are. */
  readonly runs: readonly (Origin & LSNRange)[]
}

/** How much of the buffer goes into one commit: at least one part. */
export interface SliceLimits {
  readonly commitEventsMax: number
  readonly commitBytesMax: number
}

export interface Amount {
  readonly events: number
  readonly bytes: number
}

const NOTHING: Amount = { events: 0, bytes: 0 }

export class Buffer {
  readonly #sql: SqlStorage
  /** What waits to be committed, and what is held back. */
  #amounts = { lake_buffer: NOTHING, lake_held: NOTHING }

  constructor(sql: SqlStorage) {
    this.#sql = sql
    this.measure()
  }

  /** What waits to be committed. */
  get amount(): Amount {
    return this.#amounts.lake_buffer
  }

  /** What is held back because LSNs before it are missing. */
  get heldAmount(): Amount {
    return this.#amounts.lake_held
  }

  /** Counts anew: when the object wakes, and where a transaction was rolled back. */
  measure(): void {
    this.#amounts = { lake_buffer: this.#measure('lake_buffer'), lake_held: this.#measure('lake_held') }
  }

  add(part: Part & Partial<Run>, nowMs: number): void {
    this.#add('lake_buffer', part, nowMs)
  }

  hold(run: Run, nowMs: number): void {
    this.#add('lake_held', run, nowMs)
  }

  /** The LSNs of an origin that wait to be committed. */
  waiting(origin: Origin): LSNRange[] {
    return this.#ranges('lake_buffer', origin)
  }

  /** The runs of an origin that are held back. */
  held({ ns, source, epoch }: Origin): (LSNRange & { readonly seq: number })[] {
    return this.#sql
      .exec<{ seq: number; first: number; last: number }>(
        `SELECT seq, first_lsn AS first, last_lsn AS last FROM lake_held WHERE ns = ? AND source = ? AND epoch = ?`,
        ns,
        source,
        epoch,
      )
      .toArray()
  }

  /** Lets a run go that was held back. */
  release({ seq }: { readonly seq: number }): void {
    this.#sql.exec(
      `INSERT INTO lake_buffer (taken_ms, ns, source, epoch, first_lsn, last_lsn, events, bytes, records)
       SELECT taken_ms, ns, source, epoch, first_lsn, last_lsn, events, bytes, records FROM lake_held WHERE seq = ?`,
      seq,
    )
    const [released] = this.#sql
      .exec<{ events: number; bytes: number }>('DELETE FROM lake_held WHERE seq = ? RETURNING events, bytes', seq)
      .toArray()
    if (released === undefined) return
    this.#count('lake_buffer', released, 1)
    this.#count('lake_held', released, -1)
  }

  /** The oldest run that is held back. */
  oldestHeld(): { readonly seq: number; readonly takenMs: number } | undefined {
    const [row] = this.#sql
      .exec<{ seq: number; takenMs: number }>('SELECT seq, taken_ms AS takenMs FROM lake_held ORDER BY seq LIMIT 1')
      .toArray()
    return row
  }

  /** The oldest part of the buffer within the limits, or nothing where it is empty. */
  nextSlice({ commitEventsMax, commitBytesMax }: SliceLimits): Slice | undefined {
    let [throughSeq, events, bytes] = [0, 0, 0]
    const select = 'SELECT seq, events, bytes FROM lake_buffer ORDER BY seq'
    for (const part of this.#sql.exec<{ seq: number; events: number; bytes: number }>(select)) {
      events += part.events
      bytes += part.bytes
      if (throughSeq > 0 && (events > commitEventsMax || bytes > commitBytesMax)) break
      throughSeq = part.seq
    }
    return throughSeq === 0 ? undefined : { throughSeq, runs: this.runs(throughSeq) }
  }

  /** The records up to a row of the buffer, part by part. */
  *records(throughSeq: number): Iterable<{ readonly takenMs: number; readonly records: EventRecord[] }> {
    const select = 'SELECT taken_ms AS takenMs, records FROM lake_buffer WHERE seq <= ? ORDER BY seq'
    for (const { takenMs, records } of this.#sql.exec<{ takenMs: number; records: string }>(select, throughSeq))
      yield { takenMs, records: JSON.parse(records) as EventRecord[] }
  }

  /** The runs of the buffer up to a row of it. */
  runs(throughSeq: number): (Origin & LSNRange)[] {
    return this.#sql
      .exec<{ ns: string; source: string; epoch: string; first: number; last: number }>(
        `SELECT ns, source, epoch, first_lsn AS first, last_lsn AS last
         FROM lake_buffer WHERE seq <= ? AND epoch IS NOT NULL ORDER BY seq`,
        throughSeq,
      )
      .toArray()
  }

  /** Empties the buffer up to a row of it. @returns how many events that were. */
  drop(throughSeq: number): number {
    const dropped = this.#sql
      .exec<{ events: number; bytes: number }>(
        'SELECT coalesce(sum(events), 0) AS events, coalesce(sum(bytes), 0) AS bytes FROM lake_buffer WHERE seq <= ?',
        throughSeq,
      )
      .one()
    this.#sql.exec('DELETE FROM lake_buffer WHERE seq <= ?', throughSeq)
    this.#count('lake_buffer', dropped, -1)
    return dropped.events
  }

  #count(table: 'lake_buffer' | 'lake_held', { events, bytes }: Amount, sign: 1 | -1): void {
    const before = this.#amounts[table]
    this.#amounts[table] = { events: before.events + sign * events, bytes: before.bytes + sign * bytes }
  }

  #measure(table: 'lake_buffer' | 'lake_held'): Amount {
    return this.#sql
      .exec<{ events: number; bytes: number }>(
        `SELECT coalesce(sum(events), 0) AS events, coalesce(sum(bytes), 0) AS bytes FROM ${table}`,
      )
      .one()
  }

  #add(table: 'lake_buffer' | 'lake_held', part: Part & Partial<Run>, nowMs: number): void {
    this.#sql.exec(
      `INSERT INTO ${table} (taken_ms, ns, source, epoch, first_lsn, last_lsn, events, bytes, records)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      nowMs,
      part.ns ?? null,
      part.source ?? null,
      part.epoch ?? null,
      part.first ?? null,
      part.last ?? null,
      part.events,
      part.bytes,
      part.records,
    )
    this.#count(table, part, 1)
  }

  #ranges(table: 'lake_buffer' | 'lake_held', { ns, source, epoch }: Origin): LSNRange[] {
    return unite(
      this.#sql
        .exec<{ first: number; last: number }>(
          `SELECT first_lsn AS first, last_lsn AS last FROM ${table} WHERE ns = ? AND source = ? AND epoch = ?`,
          ns,
          source,
          epoch,
        )
        .toArray(),
    )
  }
}
