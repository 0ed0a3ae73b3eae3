// Checks that what the fake pipeline received is a log: no LSN is missing, each has one content, and all were sent in order
// (I2, I4).

import { type CommittedRecord, type EventRecord, isCommitted } from '../event/record.ts'
import type { NsChoice } from './fate.ts'
import { acceptedRecords, attemptedBatches, droppedRecords } from './received.ts'

/** So many problems are in an error's message; the others are counted. */
const PROBLEMS_SHOWN_MAX = 20

/** What `assertLog` expects. */
export interface LogExpectation {
  /** How many events must have landed. Without it nobody can tell whether the last ones were sent. */
  readonly events?: number
  /** The first LSN of the log, if it isn't 1: for example in a copy of a database. */
  readonly firstLSN?: number
}

/** Thrown by `assertLog`. */
export class LogError extends Error {
  override readonly name = 'LogError'
  /** Each problem in one sentence, with its LSNs. */
  readonly problems: readonly string[]

  constructor(ns: NsChoice, problems: readonly string[]) {
    const rest = problems.length - PROBLEMS_SHOWN_MAX
    const shown = rest > 0 ? [...problems.slice(0, PROBLEMS_SHOWN_MAX), `and ${rest} more`] : problems
    super(`the log of ${String(ns)} is broken:\n${shown.map((problem) => `- ${problem}`).join('\n')}`)
    this.problems = problems
  }
}

/** LSNs from `first` to `last`, inclusive. */
interface Range {
  readonly first: number
  readonly last: number
}

/** What arrived of one outbox in one epoch. */
interface Log {
  readonly ns: string
  /** For people: `DO/Notes, epoch 01J…`. */
  readonly title: string
  /** The LSNs of each batch that was sent, in the order of arrival. */
  readonly sent: number[][]
  readonly accepted: CommittedRecord[]
}

/**
 * What a receiver holds that lands each (source, epoch, lsn) once, as it arrived first: log by log in the order of their
 * first arrival, each in LSN order. Events that went through no outbox come last, each id once.
 */
export function landed(ns: NsChoice): EventRecord[] {
  const records = acceptedRecords(ns)
  const logs = Map.groupBy(records.filter(isCommitted), identityOf)
  const committed = Array.from(logs.values(), (log) => [...firstOfEach(log).values()]).flatMap((log) =>
    log.toSorted((a, b) => a.lsn - b.lsn),
  )
  const others = new Map<string, EventRecord>()
  for (const record of records) if (!isCommitted(record) && !others.has(record.id)) others.set(record.id, record)
  return [...committed, ...others.values()]
}

/**
 * Checks all that an object has sent and the pipeline has accepted so far.
 *
 * - Every LSN that was sent, or is lower than one that was, has landed. A log begins at 1, or where another log of its ns
 *   ended, or at `firstLSN`.
 * - An LSN that arrived twice had the same content both times, except for `_meta.retries`.
 * - Each batch is a run of LSNs. It continues the batch before it or repeats it, whole or, if that was refused and cut, its
 *   beginning.
 *
 * @throws {LogError} naming each LSN that is missing (and what happened to it), arrived with two contents, or is out of order;
 *   also if nothing at all was sent, unless `events` is 0.
 */
export function assertLog(ns: NsChoice, expectation: LogExpectation = {}): void {
  const logs = readLogs(ns)
  const problems = logs.flatMap((log) => [
    ...orderProblems(log),
    ...missingProblems(log, startOf(log, logs, expectation.firstLSN)),
    ...contentProblems(log),
  ])
  const count = landed(ns).length
  if (expectation.events === undefined) {
    if (logs.length === 0) problems.push('nothing was sent; if that is right, expect it: assertLog(ns, { events: 0 })')
  } else if (count !== expectation.events) problems.push(`${count} events landed, ${expectation.events} were expected`)
  if (problems.length > 0) throw new LogError(ns, problems)
}

function readLogs(ns: NsChoice): Log[] {
  const logs = new Map<string, Log>()
  for (const batch of attemptedBatches(ns))
    for (const [identity, records] of Map.groupBy(batch.filter(isIdentified), identityOf)) {
      const log = logs.get(identity) ?? createLog(records)
      logs.set(identity, log)
      log.sent.push(records.map((record) => record.lsn))
    }
  for (const record of acceptedRecords(ns).filter(isCommitted)) logs.get(identityOf(record))?.accepted.push(record)
  return [...logs.values()]
}

function createLog([record]: readonly CommittedRecord[]): Log {
  return { ns: record?.ns ?? '', title: `${record?.source}, epoch ${record?.epoch}`, sent: [], accepted: [] }
}

function orderProblems({ title, sent }: Log): string[] {
  const problems: string[] = []
  let before: Range | undefined
  for (const lsns of sent) {
    const batch = { first: lsns[0] ?? 0, last: lsns.at(-1) ?? 0 }
    const jump = lsns.findIndex((lsn, index) => index > 0 && lsn !== (lsns[index - 1] ?? 0) + 1)
    if (jump > 0) problems.push(`${title}: LSN ${lsns[jump]} follows LSN ${lsns[jump - 1]} in one batch`)
    else if (before !== undefined && !follows(batch, before))
      problems.push(`${title}: the batch ${show(batch)} was sent after the batch ${show(before)}`)
    before = batch
  }
  return problems
}

/** Whether a batch may come after another: it continues it, or repeats it or its beginning. */
function follows(batch: Range, before: Range): boolean {
  return batch.first === before.last + 1 || (batch.first === before.first && batch.last <= before.last)
}

function missingProblems(log: Log, start: number): string[] {
  const has = new Set(log.accepted.map((record) => record.lsn))
  const end = Math.max(...log.sent.flat())
  const missing: { range: Range; fate: string }[] = []
  for (let lsn = start; lsn <= end; lsn++) {
    if (has.has(lsn)) continue
    const fate = fateOf(log, lsn)
    const last = missing.at(-1)
    if (last?.range.last === lsn - 1 && last.fate === fate) last.range = { first: last.range.first, last: lsn }
    else missing.push({ range: { first: lsn, last: lsn }, fate })
  }
  return missing.map(({ range, fate }) => `${log.title}: LSN ${show(range)} is missing: ${fate}`)
}

function fateOf({ ns, title, sent }: Log, lsn: number): string {
  const times = sent.filter((lsns) => lsns.includes(lsn)).length
  if (times === 0) return 'never sent'
  const drop = droppedRecords(ns).find(
    ({ record }) => isIdentified(record) && record.lsn === lsn && createLog([record]).title === title,
  )
  if (drop !== undefined) return `accepted and dropped: ${drop.reason}`
  return `sent ${times === 1 ? 'once' : `${times} times`} and never accepted`
}

function contentProblems({ title, accepted }: Log): string[] {
  const first = firstOfEach(accepted)
  const others = new Set<number>()
  for (const record of accepted)
    if (contentOf(record) !== contentOf(first.get(record.lsn) ?? record)) others.add(record.lsn)
  return Array.from(others, (lsn) => `${title}: LSN ${lsn} arrived again with another content`)
}

/** The LSN at which a log should begin: of those at which a log of its ns may begin, the nearest to its first one. */
function startOf(log: Log, logs: readonly Log[], firstLSN = 1): number {
  const first = Math.min(...log.sent.flat())
  const ends = logs.filter((other) => other !== log && other.ns === log.ns).map(({ sent }) => Math.max(...sent.flat()))
  const starts = [firstLSN, 1, ...ends.map((end) => end + 1)].filter((start) => start <= first)
  return Math.max(...starts)
}

function firstOfEach(records: readonly CommittedRecord[]): Map<number, CommittedRecord> {
  const first = new Map<number, CommittedRecord>()
  for (const record of records) if (!first.has(record.lsn)) first.set(record.lsn, record)
  return first
}

/** A record except for its retries, with fields in a fixed order. */
function contentOf(record: EventRecord): string {
  const once = { ...record, _meta: { ...record._meta, retries: undefined } }
  return JSON.stringify(once, (_, value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  )
}

function identityOf({ ns, source, epoch }: CommittedRecord): string {
  return JSON.stringify([ns, source, epoch])
}

/** Whether a record has an identity. One that has none can only be among the dropped ones. */
function isIdentified(record: unknown): record is CommittedRecord {
  return (
    typeof record === 'object' &&
    record !== null &&
    ['ns', 'source', 'epoch'].every((name) => typeof Reflect.get(record, name) === 'string') &&
    Number.isSafeInteger(Reflect.get(record, 'lsn'))
  )
}

function show({ first, last }: Range): string {
  return first === last ? `${first}` : `${first} to ${last}`
}
