// Prints what is known about the table: its logs, what is wrong with them, and the verdict in one line.

import type { IO } from '../command.ts'
import { printTable } from '../output.ts'
import { count } from '../values.ts'
import { LOGS_SHOWN_MAX, type Report } from './check-table.ts'
import type { LogReport } from './findings.ts'
import { fleetProblem } from './fleet.ts'
import { lakeProblem } from './lake.ts'
import { logName, sourceIn } from './outboxes.ts'

const COLUMNS = ['ns', 'source', 'epoch', 'events', 'first', 'landed', 'last', 'missing', 'doubled', 'forked', 'dead']
const OUTBOX_COLUMNS = ['acked', 'pending', 'lag']

export async function printReport(report: Report, io: IO): Promise<void> {
  const { shown, logs, askedLogs, emitted } = report
  const columns = askedLogs > 0 ? [...COLUMNS, ...OUTBOX_COLUMNS] : COLUMNS
  async function* rows() {
    yield shown.map((log) => cells(log).slice(0, columns.length))
  }
  await printTable({ columns, rows }, io, LOGS_SHOWN_MAX)
  if (logs > shown.length) io.line(`of ${logs} logs; those with findings come first`)
  for (const log of shown)
    for (const { isFailure, text } of log.findings)
      io.line(`${isFailure ? 'FAILURE' : 'note'}: ${logName(log)}: ${text}`)
  if (emitted.events > 0) io.line(emittedLine(report))
  const problem = lakeProblem(report.lake)
  if (problem !== undefined) io.line(`FAILURE: lake: ${problem.text}`)
  for (const text of report.fleet?.shown ?? []) io.line(`FAILURE: ${text}`)
  io.line(verdictOf(report))
}

/** The report as one JSON value. */
export function jsonOf({ shown, ...report }: Report): object {
  return { verdict: verdictOf({ ...report, shown }), ...report, shown }
}

export function verdictOf(report: Report): string {
  const { isProven, logs, wrongLogs, events, askedLogs, emitted } = report
  const whole = `${count(logs, 'log', 'logs')}, ${count(events, 'event', 'events')}`
  const asked = askedLogs > 0 ? `; ${count(askedLogs, 'log was', 'logs were')} compared with the outbox` : ''
  if (isProven) return `proven: ${whole}, none missing, none twice${asked}`
  const problems = [
    ...(report.missing + report.notLanded > 0 ? [`${report.missing + report.notLanded} missing`] : []),
    ...(report.doubled + emitted.doubled > 0 ? [`${report.doubled + emitted.doubled} twice`] : []),
    ...(report.forked > 0 ? [`${report.forked} forked`] : []),
  ]
  const which = problems.length === 0 ? '' : `: ${problems.join(', ')}`
  const problem = lakeProblem(report.lake)
  const unlanded = fleetProblem(report.fleet)
  const wrong = [
    ...(wrongLogs > 0 || (problem === undefined && unlanded === undefined)
      ? [`${count(wrongLogs, 'log is', 'logs are')} wrong${which}`]
      : []),
    ...(problem === undefined ? [] : [problem.brief]),
    ...(unlanded === undefined ? [] : [unlanded]),
  ]
  return `NOT proven: ${whole}, ${wrong.join(', ')}${asked}`
}

function emittedLine({ emitted: { events, doubled } }: Report): string {
  const twice = doubled === 0 ? 'none twice' : `FAILURE: ${count(doubled, 'row repeats', 'rows repeat')} another's id`
  return `without a log: ${count(events, 'event', 'events')}, ${twice}`
}

function cells({ outbox, ...log }: LogReport): (string | number | null)[] {
  const { ns, epoch, events, firstLSN, landedLSN, lastLSN, missing, doubled, forked, deadLetters } = log
  const isAsked = outbox !== undefined && !('refusal' in outbox) && outbox.epoch === epoch
  const own = [ns, sourceIn(log), epoch, events, firstLSN, landedLSN, lastLSN, missing, doubled, forked, deadLetters]
  return [...own, ...(isAsked ? [outbox.ackedLSN, outbox.pendingEvents, `${outbox.lagMs} ms`] : ['', '', ''])]
}
