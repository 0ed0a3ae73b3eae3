// Which events the rows of data files are: gathered file by file, each event once.

import { parseJSON } from '../../event/json.ts'
import { isObject } from '../../event/kinds.ts'
import type { CommittedRecord } from '../../event/record.ts'
import type { Row } from '../iceberg/schema.ts'
import { forkKey, type TableContents, unloggedKey } from '../intake/intake.ts'
import { contains, type LSNRange, unite } from '../intake/ranges.ts'
import { type MarkedRun, runsOf } from '../intake/runs.ts'
import { type LogKey, logKey } from '../log.ts'

/** The columns that tell which event a row is. */
export const IDENTITY_COLUMNS = ['ns', 'source', 'epoch', 'lsn', 'id', '_meta']

/** Events whose ids are kept to be recognized if they come again: those of a log, and those without one. */
const MARKS_MAX = 1_000_000
const UNLOGGED_MAX = 200_000

type Place = Pick<CommittedRecord, 'ns' | 'source' | 'epoch' | 'lsn' | 'id'>

export class Contents implements TableContents {
  readonly landed = new Map<LogKey, readonly LSNRange[]>()
  readonly marked: MarkedRun[] = []
  readonly forks = new Set<string>()
  readonly unlogged = new Set<string>()
  rows = 0
  readonly #known: ReadonlyMap<LogKey, readonly LSNRange[]>
  #marks = 0

  /** @param known the LSNs whose ids the lake knows already. */
  constructor(known: ReadonlyMap<LogKey, readonly LSNRange[]>) {
    this.#known = known
  }

  /** Adds a file's rows. @returns for each of them whether its event is new. */
  add(rows: readonly Row[]): boolean[] {
    const fresh = new Map<LogKey, Map<number, string>>()
    const isNew = rows.map((row) => this.#addRow(row, fresh))
    for (const [log, ids] of fresh) {
      const places = Array.from(ids, ([lsn, id]) => ({ lsn, id })).toSorted((a, b) => a.lsn - b.lsn)
      this.landed.set(
        log,
        unite([...(this.landed.get(log) ?? []), ...places.map(({ lsn }) => ({ first: lsn, last: lsn }))]),
      )
      const unknown = places.filter(({ lsn }) => !contains(this.#known.get(log) ?? [], lsn))
      if (unknown.length === 0 || this.#marks >= MARKS_MAX) continue
      this.#marks += unknown.length
      // Only the LSNs and the ids are looked at.
      for (const { first, last, ids: marks } of runsOf(log, unknown as CommittedRecord[]))
        this.marked.push({ log, first, last, ids: marks })
    }
    this.rows += isNew.filter(Boolean).length
    return isNew
  }

  #addRow(row: Row, fresh: Map<LogKey, Map<number, string>>): boolean {
    const { ns, source, epoch, id } = namesOf(row)
    if (row['lsn'] === null || row['lsn'] === undefined)
      return addTo(this.unlogged, unloggedKey({ ns, id }), UNLOGGED_MAX)
    const place: Place = { ns, source: source.slice(ns.length + 1), epoch, lsn: Number(row['lsn']), id }
    if (isFork(row)) return addTo(this.forks, forkKey(place as CommittedRecord), Infinity)
    const log = logKey(place)
    const ids = fresh.get(log) ?? new Map<number, string>()
    if (ids.has(place.lsn) || contains(this.landed.get(log) ?? [], place.lsn)) return false
    fresh.set(log, ids.set(place.lsn, id))
    return true
  }
}

/** Beyond the limit nothing is remembered, and everything counts as new. */
function addTo(set: Set<string>, key: string, max: number): boolean {
  if (set.has(key)) return false
  if (set.size < max) set.add(key)
  return true
}

function namesOf(row: Row): Record<'ns' | 'source' | 'epoch' | 'id', string> {
  const text = (name: string) => (typeof row[name] === 'string' ? row[name] : '')
  return { ns: text('ns'), source: text('source'), epoch: text('epoch'), id: text('id') }
}

function isFork({ _meta }: Row): boolean {
  const meta = typeof _meta === 'string' ? parseJSON(_meta) : undefined
  return isObject(meta) && meta['isFork'] === true
}
