// What the lake knows of the logs that it takes in: which LSNs are in the table, which ids came under them, and the ids of
// events without a log.

import type { EventRecord } from '../event/record.ts'
import { MARK_LENGTH, type Origin, type Run } from './intake.ts'
import { type LSNRange, unite } from './ranges.ts'

/** How long what came is told from what comes. */
export interface MemoryLimits {
  /** How long, and of how many events, the ids are known of events that went through no outbox. */
  readonly seenMs: number
  readonly seenEventsMax: number
  /**
   * How long the ids of events are known by LSN. A fork that comes later passes for an event that came twice. The platform
   * restores a database to at most 30 days ago.
   */
  readonly idsMs: number
}

/** Rows that one commit forgets at most. */
const FORGOTTEN_AT_ONCE = 10_000

export class Logs {
  readonly #sql: SqlStorage

  constructor(sql: SqlStorage) {
    this.#sql = sql
  }

  /** The LSNs of an origin that are in the table. */
  landed({ ns, source, epoch }: Origin): LSNRange[] {
    return unite(
      this.#sql
        .exec<{ first: number; last: number }>(
          `SELECT first_lsn AS first, last_lsn AS last FROM lake_landed WHERE ns = ? AND source = ? AND epoch = ?`,
          ns,
          source,
          epoch,
        )
        .toArray(),
    )
  }

  /** Notes that runs are in the table now. */
  land(runs: readonly (Origin & LSNRange)[]): void {
    for (const { origin, ranges } of byOrigin(runs)) {
      const { ns, source, epoch } = origin
      const before = this.landed(origin)
      const after = unite([...before, ...ranges])
      for (const { first } of before.filter((range) => !after.some(({ first }) => first === range.first)))
        this.#sql.exec(
          'DELETE FROM lake_landed WHERE ns = ? AND source = ? AND epoch = ? AND first_lsn = ?',
          ns,
          source,
          epoch,
          first,
        )
      for (const { first, last } of after.filter((range) => !before.some((old) => isSame(old, range))))
        this.#sql.exec('INSERT OR REPLACE INTO lake_landed VALUES (?, ?, ?, ?, ?)', ns, source, epoch, first, last)
    }
  }

  /** Logs of which LSNs are missing in the table. */
  countHoles(): number {
    return this.#sql
      .exec<{ logs: number }>(
        `SELECT count(*) AS logs FROM (
           SELECT 1 FROM lake_landed GROUP BY ns, source, epoch HAVING count(*) > 1)`,
      )
      .one().logs
  }

  /** Up to which LSN nothing is missing in the table, log by log. */
  *watermarks(): Iterable<Origin & { readonly lsn: number }> {
    yield* this.#sql.exec<{ ns: string; source: string; epoch: string; lsn: number }>(
      `SELECT ns, source, epoch, min(last_lsn) AS lsn FROM lake_landed GROUP BY ns, source, epoch`,
    )
  }

  /** Notes which ids came under which LSNs. */
  addIds({ ns, source, epoch, first, last, ids }: Run, nowMs: number): void {
    this.#sql.exec(
      'INSERT INTO lake_ids (taken_ms, ns, source, epoch, first_lsn, last_lsn, ids) VALUES (?, ?, ?, ?, ?, ?, ?)',
      nowMs,
      ns,
      source,
      epoch,
      first,
      last,
      ids,
    )
  }

  /** The marks of the ids that came under an LSN; none where they are forgotten. */
  marksOf({ ns, source, epoch }: Origin, lsn: number): ReadonlySet<string> {
    const marks = new Set<string>()
    const select = `SELECT first_lsn AS first, ids FROM lake_ids
      WHERE ns = ? AND source = ? AND epoch = ? AND last_lsn >= ? AND first_lsn <= ?`
    for (const { first, ids } of this.#sql.exec<{ first: number; ids: string }>(select, ns, source, epoch, lsn, lsn)) {
      const start = (lsn - first) * MARK_LENGTH
      marks.add(ids.slice(start, start + MARK_LENGTH))
    }
    return marks
  }

  /** Those of some events without a log whose ids are not known, each once. They are known from then on. */
  takeUnseen(records: readonly EventRecord[], nowMs: number): EventRecord[] {
    return records.filter(
      ({ ns, id }) =>
        this.#sql.exec(
          'INSERT INTO lake_seen (taken_ms, ns, event_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING',
          nowMs,
          ns,
          id,
        ).rowsWritten > 0,
    )
  }

  /** Forgets ids that are known for longer than they have to be, some at once. */
  forget({ seenMs, seenEventsMax, idsMs }: MemoryLimits, nowMs: number): void {
    this.#sql.exec(
      `DELETE FROM lake_seen WHERE seq IN (SELECT seq FROM lake_seen ORDER BY seq LIMIT ${FORGOTTEN_AT_ONCE})
         AND (taken_ms < ? OR seq <= (SELECT max(seq) FROM lake_seen) - ?)`,
      nowMs - seenMs,
      seenEventsMax,
    )
    this.#sql.exec(
      `DELETE FROM lake_ids WHERE seq IN (SELECT seq FROM lake_ids ORDER BY seq LIMIT ${FORGOTTEN_AT_ONCE})
         AND taken_ms < ?`,
      nowMs - idsMs,
    )
  }
}

/** Ranges by the origin that they are of. */
export function byOrigin(runs: readonly (Origin & LSNRange)[]): { origin: Origin; ranges: LSNRange[] }[] {
  const groups = Map.groupBy(runs, ({ ns, source, epoch }) => JSON.stringify([ns, source, epoch]))
  return [...groups.values()].flatMap((ranges) => (ranges[0] === undefined ? [] : [{ origin: ranges[0], ranges }]))
}

function isSame(a: LSNRange, b: LSNRange): boolean {
  return a.first === b.first && a.last === b.last
}
