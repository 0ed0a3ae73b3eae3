// What is durable here and not yet in the table: chunks and offers in the order in which they came, and runs that are held back
// because LSNs before them are missing.

import type { EventRecord } from '../../event/record.ts'
import { utf8Bytes } from '../../event/utf8.ts'
import type { WrittenFile } from '../iceberg/commit.ts'
import { parseExact, stringifyExact } from '../table/exact-json.ts'
import type { LogKey } from '../log.ts'
import { type Chunk, textChunks } from './chunks.ts'
import type { Offer } from './offer.ts'
import { ParsedRows } from './parsed-rows.ts'
import { type LSNRange, unite } from './ranges.ts'
import type { Run } from './runs.ts'

/** The oldest rows of the buffer, which one commit brings into the table. */
export interface Slice {
  readonly throughSeq: number
  /** Those of its events that have a place in a log. */
  readonly runs: readonly Run[]
}

/** How much of the buffer goes into one commit: at least one row, and offers whole. */
export interface SliceLimits {
  readonly maxCommitEvents: number
  readonly maxCommitBytes: number
}

export interface Amount {
  readonly events: number
  readonly bytes: number
}

type AmountRow = { events: number; bytes: number }

type HeldRow = AmountRow & { records: string; log: LogKey; first: number; last: number; takenMs: number }

const NOTHING: Amount = { events: 0, bytes: 0 }

export class Buffer {
  readonly #sql: SqlStorage
  /** What waits to be committed, and what is held back. */
  #amounts = { lake_buffer: NOTHING, lake_held: NOTHING }
  /** When the oldest event came of those that wait to be committed. */
  #oldestMs: number | undefined
  /** The LSNs that wait to be committed, by log. */
  #waiting = new Map<LogKey, LSNRange[]>()
  readonly #parsed = new ParsedRows()

  constructor(sql: SqlStorage) {
    this.#sql = sql
    this.recount()
  }

  /** What waits to be committed. */
  get amount(): Amount {
    return this.#amounts.lake_buffer
  }

  /** What is held back because LSNs before it are missing. */
  get heldAmount(): Amount {
    return this.#amounts.lake_held
  }

  /** When the oldest event came of those that wait to be committed. */
  get oldestMs(): number | undefined {
    return this.#oldestMs
  }

  /** Counts what is stored: when the object wakes, and after a transaction was rolled back. */
  recount(): void {
    this.#parsed.forget()
    this.#amounts = { lake_buffer: this.#measure('lake_buffer'), lake_held: this.#measure('lake_held') }
    this.#findOldest()
    this.#findWaiting()
  }

  /** Lets what came in the future, by a clock that was ahead, have come now. */
  correctTimes(nowMs: number): void {
    for (const table of ['lake_buffer', 'lake_held'])
      this.#sql.exec(`UPDATE ${table} SET taken_ms = ?1 WHERE taken_ms > ?1`, nowMs)
    this.#findOldest()
  }

  /** Keeps records that are to be committed. @param runs those of them that have a place in a log. */
  add({ records, bytes, json }: Chunk, runs: readonly Run[], nowMs: number): void {
    const seq = this.#insert({ events: records.length, bytes }, json, runs, nowMs)
    this.#parsed.add(seq, records, bytes)
  }

  /** @returns the row's `seq`. */
  #insert({ events, bytes }: Amount, json: string, runs: readonly Run[], nowMs: number): number {
    const { seq } = this.#sql
      .exec<{ seq: number }>(
        'INSERT INTO lake_buffer (taken_ms, runs, events, bytes, records) VALUES (?, ?, ?, ?, ?) RETURNING seq',
        nowMs,
        encodeRuns(runs),
        events,
        bytes,
        json,
      )
      .one()
    for (const run of runs) this.#wait(run)
    this.#oldestMs = Math.min(this.#oldestMs ?? nowMs, nowMs)
    this.#count('lake_buffer', { events, bytes }, 1)
    return seq
  }

  /** Keeps what a shard has offered. Its files are stored already, so that only their descriptions count as bytes. */
  addOffer({ id, takenMs, events, runs, files }: Offer): void {
    const runTexts = textChunks(runs.map(encodeRun))
    const fileTexts = textChunks(files.map(stringifyExact))
    for (let index = 0; index < Math.max(runTexts.length, fileTexts.length); index += 1) {
      const [runText = '[]', fileText = '[]'] = [runTexts[index], fileTexts[index]]
      const amount = { events: index === 0 ? events : 0, bytes: utf8Bytes(runText) + utf8Bytes(fileText) }
      this.#sql.exec(
        `INSERT INTO lake_buffer (taken_ms, runs, events, bytes, records, offer, files) VALUES (?, ?, ?, ?, '[]', ?, ?)`,
        takenMs,
        runText,
        amount.events,
        amount.bytes,
        id,
        fileText,
      )
      this.#count('lake_buffer', amount, 1)
    }
    for (const run of runs) this.#wait(run)
    this.#oldestMs = Math.min(this.#oldestMs ?? takenMs, takenMs)
  }

  /** The files that shards have offered, up to a row of the buffer. */
  offeredFiles(throughSeq: number): WrittenFile[] {
    const select = 'SELECT files FROM lake_buffer WHERE files IS NOT NULL AND seq <= ? ORDER BY seq'
    return this.#sql
      .exec<{ files: string }>(select, Math.min(throughSeq, Number.MAX_SAFE_INTEGER))
      .toArray()
      .flatMap(({ files }) => parseExact(files) as WrittenFile[])
  }

  /** Takes out those offers of shards that have landed. */
  dropOffers(hasLanded: (offer: Pick<Offer, 'runs' | 'files'>) => boolean): void {
    const rows = this.#sql
      .exec<{ offer: string; runs: string; files: string }>(
        'SELECT offer, runs, files FROM lake_buffer WHERE files IS NOT NULL',
      )
      .toArray()
    for (const [id, group] of Map.groupBy(rows, ({ offer }) => offer)) {
      const runs = group.flatMap((row) => decodeRuns(row.runs))
      const files = group.flatMap((row) => parseExact(row.files) as WrittenFile[])
      if (hasLanded({ runs, files })) this.#sql.exec('DELETE FROM lake_buffer WHERE offer = ?', id)
    }
    this.recount()
  }

  /** The logs of which something waits or is held back. */
  logs(): LogKey[] {
    const held = this.#sql.exec<{ log: LogKey }>('SELECT DISTINCT log FROM lake_held').toArray()
    return [...new Set([...this.#waiting.keys(), ...held.map(({ log }) => log)])]
  }

  /** Keeps a run that must wait for LSNs before it. */
  hold({ records, bytes, json }: Chunk, { log, first, last }: Run, nowMs: number): void {
    const events = records.length
    this.#sql.exec(
      `INSERT INTO lake_held (taken_ms, log, first_lsn, last_lsn, events, bytes, records) VALUES (?, ?, ?, ?, ?, ?, ?)`,
      nowMs,
      log,
      first,
      last,
      events,
      bytes,
      json,
    )
    this.#count('lake_held', { events, bytes }, 1)
  }

  /** The LSNs of a log that wait to be committed. */
  waiting(log: LogKey): readonly LSNRange[] {
    return this.#waiting.get(log) ?? []
  }

  /** The runs of a log that are held back. */
  held(log: LogKey): (LSNRange & { readonly seq: number })[] {
    if (this.heldAmount.events === 0) return []
    return this.#sql
      .exec<{ seq: number; first: number; last: number }>(
        'SELECT seq, first_lsn AS first, last_lsn AS last FROM lake_held WHERE log = ?',
        log,
      )
      .toArray()
  }

  /** Lets a run that was held back be committed. */
  release({ seq }: { readonly seq: number }): void {
    const [run] = this.#sql
      .exec<HeldRow>(
        `DELETE FROM lake_held WHERE seq = ?
         RETURNING log, first_lsn AS first, last_lsn AS last, taken_ms AS takenMs, events, bytes, records`,
        seq,
      )
      .toArray()
    if (run === undefined) return
    this.#count('lake_held', run, -1)
    this.#insert(run, run.records, [run], run.takenMs)
  }

  /** The oldest run that is held back. */
  oldestHeld(): { readonly seq: number; readonly takenMs: number } | undefined {
    if (this.heldAmount.events === 0) return undefined
    const [row] = this.#sql
      .exec<{ seq: number; takenMs: number }>('SELECT seq, taken_ms AS takenMs FROM lake_held ORDER BY seq LIMIT 1')
      .toArray()
    return row
  }

  /** The oldest rows within the limits; nothing if the buffer is empty. */
  nextSlice({ maxCommitEvents, maxCommitBytes }: SliceLimits): Slice | undefined {
    let [throughSeq, events, bytes] = [0, 0, 0]
    let offer: string | null = null
    const select = 'SELECT seq, events, bytes, offer FROM lake_buffer ORDER BY seq'
    for (const row of this.#sql.exec<AmountRow & { seq: number; offer: string | null }>(select)) {
      // The rows of an offer are in files already.
      events += row.offer === null ? row.events : 0
      bytes += row.bytes
      const isWhole = row.offer === null || row.offer !== offer
      if (throughSeq > 0 && isWhole && (events > maxCommitEvents || bytes > maxCommitBytes)) break
      throughSeq = row.seq
      offer = row.offer
    }
    return throughSeq === 0 ? undefined : { throughSeq, runs: this.runs(throughSeq) }
  }

  /** The records up to a row of the buffer, row by row. */
  *records(throughSeq: number): Iterable<{ readonly takenMs: number; readonly records: readonly EventRecord[] }> {
    const select = 'SELECT seq, taken_ms AS takenMs FROM lake_buffer WHERE files IS NULL AND seq <= ? ORDER BY seq'
    for (const { seq, takenMs } of this.#sql.exec<{ seq: number; takenMs: number }>(select, throughSeq))
      yield { takenMs, records: this.#parsed.take(seq) ?? this.#read(seq) }
  }

  #read(seq: number): readonly EventRecord[] {
    const { records } = this.#sql.exec<{ records: string }>('SELECT records FROM lake_buffer WHERE seq = ?', seq).one()
    return JSON.parse(records) as EventRecord[]
  }

  /** The runs up to a row of the buffer. */
  runs(throughSeq: number): Run[] {
    return [...this.#runs(throughSeq)]
  }

  /** Takes out all that waits and all that is held back, oldest first, except what shards have offered. */
  takeAll(): { readonly takenMs: number; readonly records: readonly EventRecord[] }[] {
    const rows = this.#sql
      .exec<{ takenMs: number; records: string }>(
        `SELECT taken_ms AS takenMs, records FROM lake_buffer WHERE files IS NULL
         UNION ALL SELECT taken_ms, records FROM lake_held ORDER BY takenMs`,
      )
      .toArray()
    this.#sql.exec('DELETE FROM lake_buffer WHERE files IS NULL')
    this.#sql.exec('DELETE FROM lake_held')
    this.recount()
    return rows.map(({ takenMs, records }) => ({ takenMs, records: JSON.parse(records) as EventRecord[] }))
  }

  /** Empties the buffer up to a row of it. @returns how many events that were. */
  drop(throughSeq: number): number {
    const dropped = this.#sql
      .exec<AmountRow>(
        'SELECT coalesce(sum(events), 0) AS events, coalesce(sum(bytes), 0) AS bytes FROM lake_buffer WHERE seq <= ?',
        throughSeq,
      )
      .one()
    this.#sql.exec('DELETE FROM lake_buffer WHERE seq <= ?', throughSeq)
    this.#parsed.dropThrough(throughSeq)
    this.#count('lake_buffer', dropped, -1)
    this.#findOldest()
    this.#findWaiting()
    return dropped.events
  }

  #findOldest(): void {
    const { oldestMs } = this.#sql
      .exec<{ oldestMs: number | null }>('SELECT min(taken_ms) AS oldestMs FROM lake_buffer')
      .one()
    this.#oldestMs = oldestMs ?? undefined
  }

  #findWaiting(): void {
    this.#waiting = new Map()
    for (const run of this.#runs(Number.MAX_SAFE_INTEGER)) this.#wait(run)
  }

  *#runs(throughSeq: number): Iterable<Run> {
    const select = 'SELECT runs FROM lake_buffer WHERE seq <= ? ORDER BY seq'
    for (const { runs } of this.#sql.exec<{ runs: string }>(select, throughSeq)) yield* decodeRuns(runs)
  }

  #wait({ log, first, last }: Run): void {
    this.#waiting.set(log, unite([...this.waiting(log), { first, last }]))
  }

  #count(table: 'lake_buffer' | 'lake_held', { events, bytes }: Amount, sign: 1 | -1): void {
    const before = this.#amounts[table]
    this.#amounts[table] = { events: before.events + sign * events, bytes: before.bytes + sign * bytes }
  }

  #measure(table: 'lake_buffer' | 'lake_held'): Amount {
    return this.#sql
      .exec<AmountRow>(`SELECT coalesce(sum(events), 0) AS events, coalesce(sum(bytes), 0) AS bytes FROM ${table}`)
      .one()
  }
}

function encodeRuns(runs: readonly Run[]): string {
  return `[${runs.map(encodeRun).join(',')}]`
}

function encodeRun({ log, first, last }: Run): string {
  return JSON.stringify([log, first, last])
}

function decodeRuns(json: string): Run[] {
  return (JSON.parse(json) as [LogKey, number, number][]).map(([log, first, last]) => ({ log, first, last }))
}
