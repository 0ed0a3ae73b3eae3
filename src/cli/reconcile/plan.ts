// What the table lacks, and which outbox can send it again.

import { REPAIR_LSNS_MAX, REPAIR_LOGS_MAX, type LogRanges } from '../../lake/upkeep/repair.ts'
import type { LSNRange } from '../../lake/intake/ranges.ts'
import type { Report } from '../verify/check-table.ts'
import type { LogReport } from '../verify/findings.ts'
import { type Classes, targetOf } from '../verify/outboxes.ts'
import type { Target } from '../worker.ts'

/** LSNs of one log that are missing. */
export interface Need extends LogRanges {
  /** The outbox to ask. */
  readonly target?: Target
  /** Why no outbox can be asked. */
  readonly refusal?: string
}

export function planOf({ shown }: Report, classes: Classes): Need[] {
  return shown.flatMap((log) => {
    const { ns, source, epoch } = log
    const ranges = [...log.firstHoles, ...log.notLanded].toSorted((a, b) => a.first - b.first)
    return ranges.length === 0 ? [] : [{ ns, source, epoch, ranges, ...outboxFor(log, classes) }]
  })
}

function outboxFor(log: LogReport, classes: Classes): Pick<Need, 'target' | 'refusal'> {
  const { outbox, epoch } = log
  const target = targetOf(log, classes)
  if (target === undefined || outbox === undefined) return { refusal: 'no outbox is known for it' }
  if ('refusal' in outbox) return { refusal: outbox.refusal }
  return outbox.epoch === epoch ? { target } : { refusal: `its outbox is in epoch ${outbox.epoch}` }
}

/** Splits ranges into portions of what one repair looks for. */
export function portionsOf(needs: readonly LogRanges[]): LogRanges[][] {
  const portions: LogRanges[][] = []
  let lsns = 0
  for (const { ns, source, epoch, ranges } of needs)
    for (const range of ranges.flatMap(cut)) {
      const portion = portions.at(-1)
      const log = portion?.at(-1)
      const isSameLog = log?.ns === ns && log.source === source && log.epoch === epoch
      lsns += range.last - range.first + 1
      if (log === undefined || lsns > REPAIR_LSNS_MAX || (portion?.length === REPAIR_LOGS_MAX && !isSameLog)) {
        portions.push([{ ns, source, epoch, ranges: [range] }])
        lsns = range.last - range.first + 1
      } else if (isSameLog) log.ranges.push(range)
      else portion?.push({ ns, source, epoch, ranges: [range] })
    }
  return portions
}

function cut({ first, last }: LSNRange): LSNRange[] {
  const pieces = Math.ceil((last - first + 1) / REPAIR_LSNS_MAX)
  return Array.from({ length: pieces }, (_, index) => {
    const from = first + index * REPAIR_LSNS_MAX
    return { first: from, last: Math.min(last, from + REPAIR_LSNS_MAX - 1) }
  })
}
