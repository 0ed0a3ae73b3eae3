// What is wrong with a log, in words: decided from the rows of the table, its watermarks, and the report of the outbox
// that the log comes from.

import type { LSNRange } from '../../lake/intake/ranges.ts'
import { count } from '../values.ts'
import { CLOCK_BACK_SECONDS, type LogFacts } from './logs.ts'
import type { OutboxAnswer } from './outboxes.ts'

/** A failure must not be; a note is something to know. */
interface Finding {
  readonly kind:
    | 'ahead'
    | 'begins-late'
    | 'clock'
    | 'dead-letters'
    | 'doubled'
    | 'forked'
    | 'missing'
    | 'not-asked'
    | 'not-landed'
    | 'other-life'
    | 'overstated'
    | 'shared-name'
  readonly isFailure: boolean
  readonly text: string
}

/** A log, and all that is known about it. */
export interface LogReport extends LogFacts {
  /** The table's watermark: the LSN up to which it claims to be whole. */
  readonly saidLSN?: number
  readonly outbox?: OutboxAnswer
  /** What the outbox has delivered and the table does not hold, before its first LSN and after its last. */
  readonly notLanded: readonly LSNRange[]
  readonly findings: readonly Finding[]
}

export interface Evidence {
  readonly facts: LogFacts
  readonly saidLSN?: number | undefined
  readonly outbox?: OutboxAnswer | undefined
}

export function reportOf({ facts, saidLSN, outbox }: Evidence): LogReport {
  const notLanded = notLandedOf(facts, outbox)
  return {
    ...facts,
    ...(saidLSN !== undefined && { saidLSN }),
    ...(outbox !== undefined && { outbox }),
    notLanded,
    findings: [
      ...findingsInTable(facts),
      ...findingsOfWatermark(facts, saidLSN),
      ...findingsAtBeginning(facts, notLanded),
      ...findingsAtOutbox(facts, notLanded, outbox),
    ],
  }
}

function notLandedOf({ epoch, firstLSN, lastLSN }: LogFacts, outbox: OutboxAnswer | undefined): LSNRange[] {
  if (outbox === undefined || 'refusal' in outbox || outbox.epoch !== epoch) return []
  const { keptLSN, ackedLSN } = outbox
  const head = keptLSN === undefined ? [] : [{ first: keptLSN, last: firstLSN === 0 ? ackedLSN : firstLSN - 1 }]
  const tail = lastLSN === 0 || ackedLSN <= lastLSN ? [] : [{ first: lastLSN + 1, last: ackedLSN }]
  return [...head, ...tail]
}

function findingsInTable(facts: LogFacts): Finding[] {
  const { missing, holes, firstHoles, doubled, forked, deadLetters, backwards } = facts
  const shown = `${showRanges(firstHoles)}${holes > firstHoles.length ? ` and ${holes - firstHoles.length} more` : ''}`
  return [
    ...failureIf(missing > 0, 'missing', `${count(missing, 'event is', 'events are')} missing: LSN ${shown}`),
    ...failureIf(doubled > 0, 'doubled', `${count(doubled, 'row repeats', 'rows repeat')} another's LSN and id`),
    ...failureIf(
      forked > 0,
      'forked',
      `${count(forked, 'row has', 'rows have')} the LSN of another event: the database was restored to an earlier time`,
    ),
    ...noteIf(
      deadLetters > 0,
      'dead-letters',
      `${count(deadLetters, 'event was', 'events were')} refused by the pipeline; the query dead-letters.sql shows ` +
        'their outcomes',
    ),
    ...noteIf(
      backwards > 0,
      'clock',
      `${count(backwards, 'event is', 'events are')} over ${CLOCK_BACK_SECONDS} s older than the one before: imported, ` +
        'redriven, or the clock went back',
    ),
  ]
}

/** Watermarks go by the global source. If two namespaces have logs of one name, it is not known whose watermark it is. */
function findingsOfWatermark({ landedLSN, lastLSN, namesakes }: LogFacts, saidLSN: number | undefined): Finding[] {
  if (namesakes > 1)
    return noteIf(
      true,
      'shared-name',
      'another ns has a log whose global source and epoch are the same; its watermark was not checked',
    )
  if (saidLSN === undefined || saidLSN <= landedLSN) return []
  const held = lastLSN === 0 ? 'holds none of it' : `does so up to LSN ${landedLSN}`
  return failureIf(true, 'overstated', `the table claims to hold everything up to LSN ${saidLSN}, and ${held}`)
}

/** An epoch begins above LSN 1 if its object had other names before. The table alone cannot tell that from a loss. */
function findingsAtBeginning({ firstLSN }: LogFacts, notLanded: readonly LSNRange[]): Finding[] {
  const isKnown = firstLSN <= 1 || notLanded.some(({ first }) => first < firstLSN)
  const text = `it begins with LSN ${firstLSN}: its object had another ns or source before, or its first events are lost`
  return noteIf(!isKnown, 'begins-late', text)
}

function findingsAtOutbox(
  { epoch, lastLSN }: LogFacts,
  notLanded: readonly LSNRange[],
  outbox: OutboxAnswer | undefined,
): Finding[] {
  if (outbox === undefined) return []
  if ('refusal' in outbox) return noteIf(true, 'not-asked', `its outbox was not asked: ${outbox.refusal}`)
  const { place, lastLSN: committedLSN } = outbox
  if (outbox.epoch !== epoch)
    return noteIf(true, 'other-life', `${place} is in epoch ${outbox.epoch} and no longer knows this one`)
  const events = notLanded.reduce((sum, { first, last }) => sum + last - first + 1, 0)
  return [
    ...failureIf(
      events > 0,
      'not-landed',
      `${count(events, 'event', 'events')} of ${place} ${events === 1 ? 'was' : 'were'} delivered but ` +
        `${events === 1 ? 'has' : 'have'} not landed: LSN ${showRanges(notLanded)}`,
    ),
    ...failureIf(
      lastLSN > committedLSN,
      'ahead',
      `the table ends at LSN ${lastLSN}, but ${place} has committed ${committedLSN}: it was restored to an earlier time`,
    ),
  ]
}

function failureIf(isSo: boolean, kind: Finding['kind'], text: string): Finding[] {
  return isSo ? [{ kind, isFailure: true, text }] : []
}

function noteIf(isSo: boolean, kind: Finding['kind'], text: string): Finding[] {
  return isSo ? [{ kind, isFailure: false, text }] : []
}

export function showRanges(ranges: readonly LSNRange[]): string {
  return ranges.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`)).join(', ')
}
