// Checks the whole table, log by log, and compares each log with its outbox if that can be asked.

import { CDCError } from '../../error.ts'
import type { IO } from '../command.ts'
import { readContents } from '../damaged-table.ts'
import { type LakeOptions, readLocalTable } from '../local-lake.ts'
import type { LocalTable } from '../local-table.ts'
import { type LogReport, reportOf } from './findings.ts'
import type { LakeAnswer } from './lake.ts'
import { type EmittedFacts, type LogFacts, readEmitted, readLogs } from './logs.ts'
import { count } from '../values.ts'
import { type FleetReport, logKey } from './fleet.ts'
import { nsOf, type OutboxAnswer, type Outboxes } from './outboxes.ts'

/** Logs that a report shows, those with findings first. All of them are counted. */
export const LOGS_SHOWN_MAX = 1_000
const OUTBOXES_AT_ONCE = 8
/** Time between two checks of a table that lacks something still. */
const CHECK_AGAIN_MS = 1_000

/** What is known about the table. */
export interface Report {
  readonly isProven: boolean
  /** The version of the table that was checked. */
  readonly version: number
  readonly logs: number
  /** Logs with a failure. */
  readonly wrongLogs: number
  /** Rows of logs. */
  readonly events: number
  readonly missing: number
  readonly doubled: number
  readonly forked: number
  readonly deadLetters: number
  /** Events that an outbox has delivered and the table lacks, before the first of their log or after the last. */
  readonly notLanded: number
  /** Logs whose outbox has answered. */
  readonly askedLogs: number
  readonly emitted: EmittedFacts
  /** What waits outside the table, if the lake was to be asked. */
  readonly lake?: LakeAnswer
  /** What the fleet knows that the table does not, if there is a fleet. */
  readonly fleet?: FleetReport
  readonly shown: readonly LogReport[]
}

export interface CheckOptions {
  readonly lake: LakeOptions
  /** Whether every file is copied from the bucket again and read to its end, at the first check. */
  readonly isDeep?: boolean
  readonly outboxes?: Outboxes | undefined
  /** Takes the names of the logs in the table. */
  readonly inTable?: Set<string> | undefined
  /** Holes of a log that are listed. */
  readonly maxHoles: number
}

interface Patience {
  readonly waitMs: number
  readonly isEnough: (report: Report) => boolean
  /** Whether nothing waits in the lake, so that what has not landed by then is lost. */
  readonly isLakeIdle?: () => Promise<boolean>
}

/** Checks until what is delivered has landed, or can't land any more, or the time is over, and returns the last report. */
export async function checkUntil(options: CheckOptions & Patience, io: IO): Promise<Report> {
  let deadlineMs: number | undefined
  let isLast = false
  const delivered = new Map<string, number>()
  // Where the table lies is noted once, and a deep check is made once.
  for (
    let quiet = io, first = options;
    ;
    quiet = { ...io, note: () => undefined }, first = { ...options, isDeep: false }
  ) {
    const report = await checkTable(first, delivered, quiet)
    // From here on: a table that takes long to read must not use up the lake's time.
    deadlineMs ??= Date.now() + options.waitMs
    if (isLast || options.isEnough(report) || Date.now() >= deadlineMs) return report
    // What this check expected was delivered before.
    isLast = (await options.isLakeIdle?.()) ?? false
    if (isLast) continue
    const { missing, notLanded } = report
    io.note(`${count(missing + notLanded, 'event is', 'events are')} not in the table yet; checking again`)
    await new Promise((resolve) => setTimeout(resolve, CHECK_AGAIN_MS))
  }
}

/**
 * Checks once.
 *
 * @param delivered how far each outbox had delivered when it was first asked: what it delivers during the check is not
 *   expected in the table.
 */
async function checkTable(options: CheckOptions, delivered: Map<string, number>, io: IO): Promise<Report> {
  const proof = options.isDeep ? 'read' : 'listed'
  const table = await readLocalTable({ ...options.lake, proof, watermarks: true }, io)
  if (table.version === 0)
    throw new CDCError('not-found', `there is no table in ${table.place}, so there is nothing to prove`)
  if (options.isDeep) await readContents(table)
  const tally = new Tally()
  for await (const groups of inPortions(groupsOf(table, options.maxHoles)))
    for (const reports of await Promise.all(groups.map((group) => reportGroup(group, options.outboxes, delivered))))
      for (const report of reports) {
        tally.add(report)
        options.inTable?.add(logKey(report))
      }
  return tally.report(await readEmitted(table), table.version)
}

interface SaidLog extends LogFacts {
  readonly saidLSN?: number | undefined
}

/** The logs of each (ns, source) with their watermarks; at the end those that have a watermark and no row. */
async function* groupsOf(table: LocalTable, maxHoles: number): AsyncGenerator<SaidLog[]> {
  const said = new Map(
    Object.entries(table.watermarks ?? {}).map(([source, epochs]) => [source, new Map(Object.entries(epochs))]),
  )
  let group: SaidLog[] = []
  for await (const facts of readLogs(table, maxHoles)) {
    const { ns, source, epoch, namesakes } = facts
    if (group[0] !== undefined && (group[0].ns !== ns || group[0].source !== source)) {
      yield group
      group = []
    }
    group.push({ ...facts, saidLSN: namesakes > 1 ? undefined : said.get(source)?.get(epoch) })
    said.get(source)?.delete(epoch)
  }
  if (group.length > 0) yield group
  for (const [source, epochs] of said)
    if (epochs.size > 0)
      yield [...epochs].map(([epoch, saidLSN]) => ({ ...emptyLog({ ns: nsOf(source), source, epoch }), saidLSN }))
}

async function* inPortions<Item>(items: AsyncIterable<Item>): AsyncGenerator<Item[]> {
  let portion: Item[] = []
  for await (const item of items) {
    portion.push(item)
    if (portion.length < OUTBOXES_AT_ONCE) continue
    yield portion
    portion = []
  }
  yield portion
}

async function reportGroup(
  group: readonly SaidLog[],
  outboxes: Outboxes | undefined,
  delivered: Map<string, number>,
): Promise<LogReport[]> {
  const [first] = group
  if (first === undefined || outboxes === undefined)
    return group.map(({ saidLSN, ...facts }) => reportOf({ facts, saidLSN }))
  const outbox = asAskedFirst(await outboxes.ask(group, first), delivered)
  const isNew = !('refusal' in outbox) && outbox.keptLSN !== undefined && !group.some(isOf(outbox.epoch))
  const logs = isNew ? [...group, emptyLog({ ...first, epoch: outbox.epoch })] : group
  return logs.map(({ saidLSN, ...facts }: SaidLog) => reportOf({ facts, saidLSN, outbox }))
}

function isOf(epoch: string): (log: LogFacts) => boolean {
  return (log) => log.epoch === epoch
}

function asAskedFirst(outbox: OutboxAnswer, delivered: Map<string, number>): OutboxAnswer {
  if ('refusal' in outbox) return outbox
  const ackedLSN = delivered.get(outbox.epoch) ?? outbox.ackedLSN
  delivered.set(outbox.epoch, ackedLSN)
  return { ...outbox, ackedLSN }
}

function emptyLog({ ns, source, epoch }: Pick<LogFacts, 'ns' | 'source' | 'epoch'>): LogFacts {
  const lsns = { firstLSN: 0, lastLSN: 0, landedLSN: 0 }
  const counts = { events: 0, missing: 0, holes: 0, doubled: 0, forked: 0, deadLetters: 0, backwards: 0 }
  return { ns, source, epoch, ...lsns, ...counts, firstHoles: [], namesakes: 1 }
}

/** Counts all logs, and keeps as many as are shown. */
class Tally {
  readonly #counts = { logs: 0, wrongLogs: 0, events: 0, missing: 0, doubled: 0, forked: 0, deadLetters: 0 }
  #notLanded = 0
  #askedLogs = 0
  readonly #shown: Record<'wrong' | 'noted' | 'fine', LogReport[]> = { wrong: [], noted: [], fine: [] }

  add(log: LogReport): void {
    const isWrong = log.findings.some(({ isFailure }) => isFailure)
    this.#counts.logs += 1
    this.#counts.wrongLogs += isWrong ? 1 : 0
    for (const name of ['events', 'missing', 'doubled', 'forked', 'deadLetters'] as const)
      this.#counts[name] += log[name]
    for (const { first, last } of log.notLanded) this.#notLanded += last - first + 1
    this.#askedLogs += log.outbox !== undefined && !('refusal' in log.outbox) ? 1 : 0
    const shown = this.#shown[isWrong ? 'wrong' : log.findings.length > 0 ? 'noted' : 'fine']
    if (shown.length < LOGS_SHOWN_MAX) shown.push(log)
  }

  report(emitted: EmittedFacts, version: number): Report {
    const { wrong, noted, fine } = this.#shown
    return {
      isProven: this.#counts.wrongLogs === 0 && emitted.doubled === 0,
      version,
      ...this.#counts,
      notLanded: this.#notLanded,
      askedLogs: this.#askedLogs,
      emitted,
      shown: [...wrong, ...noted, ...fine].slice(0, LOGS_SHOWN_MAX),
    }
  }
}
