// What the lake knows of the logs that it takes in: which LSNs are in the table, which ids came under them, and the ids of
// events without a log.

import type { EventRecord } from '../../event/record.ts'
import { type Log, MARK_LENGTH, type MarkedRun, namesOf, type Run } from './intake.ts'
import { type LSNRange, unite, without } from './ranges.ts'
import type { Watermark } from '../table/watermarks.ts'

/** How long what came is told from what comes. */
export interface MemoryLimits {
  /** How long, and of how many events, the ids are known of events that went through no outbox. */
  readonly seenMs: number
  readonly maxSeenEvents: number
  /**
   * How long the ids of events are known by LSN. A fork that comes later passes for an event that came twice. The platform
   * restores a database to at most 30 days ago.
   */
  readonly idsMs: number
}

/** Rows that a statement is given at once: their JSON stays below what SQLite is documented to take, 2 MB. */
const LOGS_AT_ONCE = 1_000

/** Rows that one commit forgets at most. */
const FORGOTTEN_AT_ONCE = 10_000

export class Logs {
  readonly #sql: SqlStorage

  constructor(sql: SqlStorage) {
    this.#sql = sql
  }

  /** The LSNs of some logs that are in the table. A log of which nothing is there is missing. */
  landed(logs: readonly Log[]): Map<Log, LSNRange[]> {
    const landed = new Map<Log, LSNRange[]>()
    for (let index = 0; index < logs.length; index += LOGS_AT_ONCE)
      for (const { log, first, last } of this.#sql.exec<{ log: Log; first: number; last: number }>(
        `SELECT log, first_lsn AS first, last_lsn AS last FROM json_each(?) JOIN lake_landed ON log = value
         ORDER BY log, first_lsn`,
        JSON.stringify(logs.slice(index, index + LOGS_AT_ONCE)),
      )) {
        const ranges = landed.get(log)
        if (ranges === undefined) landed.set(log, [{ first, last }])
        else ranges.push({ first, last })
      }
    return landed
  }

  /** Notes that runs are in the table now. */
  land(runs: readonly Run[]): void {
    const groups = Map.groupBy(runs, ({ log }) => log)
    const landed = this.landed([...groups.keys()])
    this.#replaceLanded(
      landed,
      new Map(Array.from(groups, ([log, group]) => [log, [...(landed.get(log) ?? []), ...group]])),
    )
  }

  /** Notes that LSNs are not in the table any more, so that they land again when they come again. */
  forgetLanded(log: Log, ranges: readonly LSNRange[]): void {
    const landed = this.landed([log])
    this.#replaceLanded(landed, new Map([[log, without(landed.get(log) ?? [], ranges)]]))
  }

  /** Writes what differs. */
  #replaceLanded(landed: ReadonlyMap<Log, LSNRange[]>, wanted: ReadonlyMap<Log, LSNRange[]>): void {
    const gone: [Log, number][] = []
    const changed: [Log, number, number][] = []
    for (const [log, ranges] of wanted) {
      const before = landed.get(log) ?? []
      const after = unite(ranges)
      for (const { first } of before) if (!after.some((range) => range.first === first)) gone.push([log, first])
      for (const { first, last } of after)
        if (!before.some((range) => range.first === first && range.last === last)) changed.push([log, first, last])
    }
    this.#each(
      gone,
      'DELETE FROM lake_landed WHERE (log, first_lsn) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))',
    )
    this.#each(
      changed,
      'INSERT OR REPLACE INTO lake_landed SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?)',
    )
  }

  /** Logs of which LSNs are missing in the table. */
  countHoles(): number {
    return this.#sql
      .exec<{ logs: number }>(
        'SELECT count(*) AS logs FROM (SELECT 1 FROM lake_landed GROUP BY log HAVING count(*) > 1)',
      )
      .one().logs
  }

  /** Up to which LSN nothing is missing in the table, log by log. */
  *watermarks(): Iterable<Watermark> {
    for (const { log, lsn } of this.#sql.exec<{ log: Log; lsn: number }>(
      'SELECT log, min(last_lsn) AS lsn FROM lake_landed GROUP BY log',
    ))
      yield { ...namesOf(log), lsn }
  }

  /** Notes which ids came under which LSNs. */
  addIds(runs: readonly MarkedRun[], nowMs: number): void {
    this.#each(
      runs.map(({ log, first, last, ids }) => [nowMs, log, first, last, ids]),
      `INSERT INTO lake_ids (taken_ms, log, first_lsn, last_lsn, ids)
       SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM json_each(?)`,
    )
  }

  /** The marks of the ids that came under an LSN; none where they are forgotten. */
  marksOf(log: Log, lsn: number): ReadonlySet<string> {
    const marks = new Set<string>()
    const select = 'SELECT first_lsn AS first, ids FROM lake_ids WHERE log = ? AND last_lsn >= ? AND first_lsn <= ?'
    for (const { first, ids } of this.#sql.exec<{ first: number; ids: string }>(select, log, lsn, lsn)) {
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
  forget({ seenMs, maxSeenEvents, idsMs }: MemoryLimits, nowMs: number): void {
    this.#sql.exec(
      `DELETE FROM lake_seen WHERE seq IN (SELECT seq FROM lake_seen ORDER BY seq LIMIT ${FORGOTTEN_AT_ONCE})
         AND (taken_ms < ? OR seq <= (SELECT max(seq) FROM lake_seen) - ?)`,
      nowMs - seenMs,
      maxSeenEvents,
    )
    this.#sql.exec(
      `DELETE FROM lake_ids WHERE seq IN (SELECT seq FROM lake_ids ORDER BY seq LIMIT ${FORGOTTEN_AT_ONCE})
         AND taken_ms < ?`,
      nowMs - idsMs,
    )
  }

  /** Runs a statement over rows as JSON, some at once: one statement for each takes several times as long. */
  #each(rows: readonly unknown[], statement: string): void {
    for (let index = 0; index < rows.length; index += LOGS_AT_ONCE)
      this.#sql.exec(statement, JSON.stringify(rows.slice(index, index + LOGS_AT_ONCE)))
  }
}
