// Prints what is known of the table: its logs, what is wrong with them, and the verdict in one line.

import type { IO } from '../command.ts'
import { printable, writeTable } from '../output.ts'
import { LOGS_SHOWN_MAX, type Report } from './check-table.ts'
import { count, type LogReport } from './findings.ts'

const COLUMNS = ['source', 'epoch', 'events', 'first', 'landed', 'last', 'missing', 'doubled', 'forked', 'dead']
const OUTBOX_COLUMNS = ['acked', 'pending', 'lag']

export async function printReport(report: Report, io: IO): Promise<void> {
  const { shown, logs, askedLogs } = report
  const columns = askedLogs > 0 ? [...COLUMNS, ...OUTBOX_COLUMNS] : COLUMNS
  async function* rows() {
    yield shown.map((log) => cells(log).slice(0, columns.length))
  }
  await writeTable({ columns, keys: columns, rows }, io.stdout, { width: io.columns, maxRows: LOGS_SHOWN_MAX })
  if (logs > shown.length) io.stdout(`of ${logs} logs; those with something to say come first\n`)
  for (const log of shown)
    for (const { isFailure, text } of log.findings)
      io.stdout(`${isFailure ? 'FAILURE' : 'note'}: ${printable(`${log.source} in ${log.epoch}`)}: ${text}\n`)
  io.stdout(`${emittedLine(report)}${verdictOf(report)}\n`)
}

/** Prints it as one JSON value. */
export function printReportAsJSON(report: Report, io: IO): void {
  io.stdout(`${JSON.stringify(jsonOf(report), null, 2)}\n`)
}

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
  return `NOT proven: ${whole}, ${count(wrongLogs, 'log is', 'logs are')} wrong${which}${asked}`
}

function emittedLine({ emitted: { events, doubled } }: Report): string {
  if (events === 0) return ''
  const twice = doubled === 0 ? 'none twice' : `FAILURE: ${count(doubled, 'row repeats', 'rows repeat')} another's id`
  return `without a log: ${count(events, 'event', 'events')}, ${twice}\n`
}

function cells({ outbox, ...log }: LogReport): (string | number | null)[] {
  const { source, epoch, events, firstLSN, landedLSN, lastLSN, missing, doubled, forked, deadLetters } = log
  const isAsked = outbox !== undefined && !('refusal' in outbox) && outbox.epoch === epoch
  const own = [source, epoch, events, firstLSN, landedLSN, lastLSN, missing, doubled, forked, deadLetters]
  return [...own, ...(isAsked ? [outbox.ackedLSN, outbox.pendingEvents, `${outbox.lagMs} ms`] : ['', '', ''])]
}
