// Which events the lake knows, so that each lands once: the LSNs that are in the table, the ids that came under them, and the
// ids of events without a log.

import type { EventRecord } from '../../event/record.ts'
import { type LogKey, logName } from '../log.ts'
import type { Watermark } from '../table/watermarks.ts'
import { type LSNRange, unite, without } from './ranges.ts'
import { MARK_LENGTH, type MarkedRun, type Run } from './runs.ts'

/** For how long an event that comes again is recognized. LSNs are never forgotten. */
export interface MemoryLimits {
  /** How long, and of how many events, the ids are known of events that went through no outbox. */
  readonly seenMs: number
  readonly maxSeenEvents: number
  /**
   * How long the ids of events are known by LSN. A fork that comes later is taken for an event that came twice. The platform
   * restores a database to at most 30 days ago.
   */
  readonly idsMs: number
}

/** Rows that are handed to one statement: their JSON stays below the 2 MB that SQLite is documented to take. */
const ROWS_PER_STATEMENT = 1_000

/** Rows that one commit forgets at most. */
const FORGOTTEN_ROWS_MAX = 10_000

export class KnownEvents {
  readonly #sql: SqlStorage

  constructor(sql: SqlStorage) {
    this.#sql = sql
  }

  /** The LSNs of some logs that are in the table. A log without any is missing. */
  landed(logs: readonly LogKey[]): Map<LogKey, LSNRange[]> {
    const landed = new Map<LogKey, LSNRange[]>()
    for (let index = 0; index < logs.length; index += ROWS_PER_STATEMENT)
      for (const { log, first, last } of this.#sql.exec<{ log: LogKey; first: number; last: number }>(
        `SELECT log, first_lsn AS first, last_lsn AS last FROM json_each(?) JOIN lake_landed ON log = value
         ORDER BY log, first_lsn`,
        JSON.stringify(logs.slice(index, index + ROWS_PER_STATEMENT)),
      )) {
        const ranges = landed.get(log)
        if (ranges === undefined) landed.set(log, [{ first, last }])
        else ranges.push({ first, last })
      }
    return landed
  }

  /** Notes that runs are in the table. */
  land(runs: readonly Run[]): void {
    const groups = Map.groupBy(runs, ({ log }) => log)
    const landed = this.landed([...groups.keys()])
    this.#replaceLanded(
      landed,
      new Map(Array.from(groups, ([log, group]) => [log, [...(landed.get(log) ?? []), ...group]])),
    )
  }

  /** Notes what is in the table of a log, unless something is known of it. */
  meet(log: LogKey, ranges: readonly LSNRange[]): void {
    if (!this.landed([log]).has(log)) this.#replaceLanded(new Map(), new Map([[log, [...ranges]]]))
  }

  /** Notes that LSNs are no longer in the table, so that they land if they come again. */
  forgetLanded(log: LogKey, ranges: readonly LSNRange[]): void {
    const landed = this.landed([log])
    this.#replaceLanded(landed, new Map([[log, without(landed.get(log) ?? [], ranges)]]))
  }

  /** All LSNs that are in the table, by log. */
  allLanded(): Map<LogKey, LSNRange[]> {
    const logs = this.#sql.exec<{ log: LogKey }>('SELECT DISTINCT log FROM lake_landed').toArray()
    return this.landed(logs.map(({ log }) => log))
  }

  /** Replaces what is known to be in the table. */
  replaceAllLanded(landed: ReadonlyMap<LogKey, readonly LSNRange[]>): void {
    this.#sql.exec('DELETE FROM lake_landed')
    this.#replaceLanded(new Map(), new Map(Array.from(landed, ([log, ranges]) => [log, [...ranges]])))
  }

  /** Forgets the ids of events without a log, so that they count as new. */
  forgetSeen(records: readonly EventRecord[]): void {
    for (const { ns, id } of records) this.#sql.exec('DELETE FROM lake_seen WHERE ns = ? AND event_id = ?', ns, id)
  }

  /** Writes only what differs. */
  #replaceLanded(landed: ReadonlyMap<LogKey, LSNRange[]>, wanted: ReadonlyMap<LogKey, LSNRange[]>): void {
    const gone: [LogKey, number][] = []
    const changed: [LogKey, number, number][] = []
    for (const [log, ranges] of wanted) {
      const before = landed.get(log) ?? []
      const after = unite(ranges)
      for (const { first } of before) if (!after.some((range) => range.first === first)) gone.push([log, first])
      for (const { first, last } of after)
        if (!before.some((range) => range.first === first && range.last === last)) changed.push([log, first, last])
    }
    this.#runOver(
      gone,
      'DELETE FROM lake_landed WHERE (log, first_lsn) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))',
    )
    this.#runOver(
      changed,
      'INSERT OR REPLACE INTO lake_landed SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?)',
    )
  }

  /** How many logs have LSNs missing in the table. */
  countHoles(): number {
    return this.#sql
      .exec<{ logs: number }>(
        'SELECT count(*) AS logs FROM (SELECT 1 FROM lake_landed GROUP BY log HAVING count(*) > 1)',
      )
      .one().logs
  }

  /** For each log, the LSN up to which nothing is missing in the table. */
  *watermarks(): Iterable<Watermark> {
    for (const { log, lsn } of this.#sql.exec<{ log: LogKey; lsn: number }>(
      'SELECT log, min(last_lsn) AS lsn FROM lake_landed GROUP BY log',
    ))
      yield { ...logName(log), lsn }
  }

  /** Notes which ids came under which LSNs. */
  addIds(runs: readonly MarkedRun[], nowMs: number): void {
    this.#runOver(
      runs.map(({ log, first, last, ids }) => [nowMs, log, first, last, ids]),
      `INSERT INTO lake_ids (taken_ms, log, first_lsn, last_lsn, ids)
       SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM json_each(?)`,
    )
  }

  /** The marks of the ids that came under an LSN; none if they are forgotten. */
  marksOf(log: LogKey, lsn: number): ReadonlySet<string> {
    const marks = new Set<string>()
    const select = 'SELECT first_lsn AS first, ids FROM lake_ids WHERE log = ? AND last_lsn >= ? AND first_lsn <= ?'
    for (const { first, ids } of this.#sql.exec<{ first: number; ids: string }>(select, log, lsn, lsn)) {
      const start = (lsn - first) * MARK_LENGTH
      marks.add(ids.slice(start, start + MARK_LENGTH))
    }
    return marks
  }

  /** Whether an event without a log has come. */
  hasSeen({ ns, id }: { readonly ns: string; readonly id: string }): boolean {
    return this.#sql.exec('SELECT 1 FROM lake_seen WHERE ns = ? AND event_id = ?', ns, id).toArray().length > 0
  }

  /** Of some events without a log, those whose ids are not known, each once. From then on they are. */
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

  /** Forgets ids that have been known for long enough, a bounded number at a time. */
  forget({ seenMs, maxSeenEvents, idsMs }: MemoryLimits, nowMs: number): void {
    this.#sql.exec(
      `DELETE FROM lake_seen WHERE seq IN (SELECT seq FROM lake_seen ORDER BY seq LIMIT ${FORGOTTEN_ROWS_MAX})
         AND (taken_ms < ? OR seq <= (SELECT max(seq) FROM lake_seen) - ?)`,
      nowMs - seenMs,
      maxSeenEvents,
    )
    this.#sql.exec(
      `DELETE FROM lake_ids WHERE seq IN (SELECT seq FROM lake_ids ORDER BY seq LIMIT ${FORGOTTEN_ROWS_MAX})
         AND taken_ms < ?`,
      nowMs - idsMs,
    )
  }

  /** Runs a statement over rows as JSON, many at a time: one statement per row takes several times as long. */
  #runOver(rows: readonly unknown[], statement: string): void {
    for (let index = 0; index < rows.length; index += ROWS_PER_STATEMENT)
      this.#sql.exec(statement, JSON.stringify(rows.slice(index, index + ROWS_PER_STATEMENT)))
  }
}
