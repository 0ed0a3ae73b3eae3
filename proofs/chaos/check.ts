// Compares what clients were told, what ledgers and stores hold, and what landed. It trusts none of them: each difference
// is counted, and the first few are described.

import { isDeepStrictEqual } from 'node:util'
import * as z from 'zod'
import type { Findings } from './findings.ts'
import type { Told } from './load.ts'
import type { LedgerEntry, LedgerEvent, Stock } from './operation.ts'
import type { Row } from './table.ts'

/** What one object reports. */
export interface Witness {
  readonly object: string
  readonly ledger: readonly LedgerEntry[]
  readonly stock: Stock
}

export interface Verdict {
  readonly acknowledged: number
  readonly unknown: number
  readonly refused: number
  /** Operations in the ledgers. */
  readonly committed: number
  /** Events that the ledgers expect. */
  readonly expected: number
  /** Rows in the table. */
  readonly landed: number
  /** Acknowledged operations that no ledger has, and events of the ledgers that are not in the table. */
  readonly lost: number
  /** Rows beyond the one that each event of a ledger may have, and all rows of events that no ledger has. */
  readonly duplicated: number
  /** Events that follow one that was committed after them, and keys whose log does not rebuild the store. */
  readonly outOfOrder: number
  /** LSNs between 1 and the last of their (source, epoch) that have no row. */
  readonly gaps: number
  readonly problems: readonly string[]
}

const tokenSchema = z.looseObject({ token: z.string().optional() })

/** @param rows those of the cellars are checked by themselves. */
export function check(
  findings: Findings,
  told: readonly Told[],
  { witnesses, rows }: { witnesses: readonly Witness[]; rows: readonly Row[] },
): Verdict {
  const rowsByObject = Map.groupBy(rows, (row) => row.ns)
  const toldByObject = Map.groupBy(told, ({ object }) => object)
  for (const witness of witnesses) {
    const landed = (rowsByObject.get(witness.object) ?? []).toSorted(inLogOrder)
    checkAnswers(findings, witness, toldByObject.get(witness.object) ?? [])
    checkLog(findings, witness, landed)
    checkDeadLetters(findings, witness)
    checkStores(findings, witness, landed)
    rowsByObject.delete(witness.object)
  }
  for (const [ns, strangers] of rowsByObject)
    findings.add('duplicated', strangers.length, `${ns}: ${strangers.length} rows of an object that no client used`)
  checkNumbers(findings, rows)
  const ledgers = witnesses.flatMap(({ ledger }) => ledger)
  return {
    acknowledged: told.filter(({ fate }) => fate.outcome === 'committed').length,
    unknown: told.filter(({ fate }) => fate.outcome === 'unknown').length,
    refused: told.filter(({ fate }) => fate.outcome === 'refused').length,
    committed: ledgers.length,
    expected: ledgers.reduce((sum, entry) => sum + entry.events.length, 0),
    landed: rows.length,
    ...findings.counts,
    problems: findings.problems,
  }
}

/** What was acknowledged is committed as acknowledged, what had to fail left nothing, and there is nothing else. */
function checkAnswers(findings: Findings, { object, ledger }: Witness, told: readonly Told[]): void {
  const entries = new Map(ledger.map((entry) => [entry.operation, entry]))
  for (const { operation, mustBeRefused, fate } of told) {
    const entry = entries.get(operation)
    const name = `${object}: ${operation}`
    if (mustBeRefused && entry !== undefined) findings.add('duplicated', 1, `${name} was to fail and committed`)
    if (fate.outcome === 'refused' && !mustBeRefused) findings.add('lost', 1, `${name} was refused without a reason`)
    if (fate.outcome !== 'committed') continue
    const isAsTold = entry?.seq === fate.seq && entry.events.length === fate.events
    if (!isAsTold) findings.add('lost', 1, `${name} was acknowledged and is not in the ledger as acknowledged`)
  }
  const known = new Set(told.map(({ operation }) => operation))
  const strange = ledger.filter(({ operation }) => !known.has(operation))
  findings.add('duplicated', strange.length, `${object}: ${strange.length} operations that no client sent`)
}

/** Each event of the ledger is one row, in the ledger's order, and there is no other row. */
function checkLog(findings: Findings, { object, ledger }: Witness, landed: readonly Row[]): void {
  const expected = ledger.flatMap(({ operation, events }) => events.map((event) => nameEvent(operation, event)))
  const ranks = new Map(expected.map((name, rank) => [name, rank]))
  const seen = new Set<string>()
  let highest = -1
  for (const row of landed) {
    const name = nameRow(row)
    const rank = ranks.get(name)
    const place = `${object}: LSN ${row.lsn} of epoch ${row.epoch}: ${name}`
    if (rank === undefined) findings.add('duplicated', 1, `${place} is in the table and in no ledger`)
    else if (seen.has(name)) findings.add('duplicated', 1, `${place} is in the table more than once`)
    else if (rank < highest) findings.add('outOfOrder', 1, `${place} comes after one that was committed later`)
    highest = Math.max(highest, rank ?? -1)
    seen.add(name)
  }
  const missing = expected.filter((name) => !seen.has(name))
  findings.add('lost', missing.length, `${object}: ${missing.length} events did not land, the first is ${missing[0]}`)
}

/** An event that was given up counts as lost, even if the lake has it after all. */
function checkDeadLetters(findings: Findings, { object, stock }: Witness): void {
  findings.add('lost', stock.deadLetters, `${object}: ${stock.deadLetters} valid events became dead letters`)
}

/** Each change starts from what the one before it left, and the last of each key is what the store holds. */
function checkStores(findings: Findings, { object, stock }: Witness, landed: readonly Row[]): void {
  const folded = new Map<string, unknown>()
  for (const row of landed) {
    if (row.op === null || row.key === null) continue
    const key = `${row.table_url}/${row.key}`
    const before: unknown = row.before === null ? undefined : JSON.parse(row.before)
    const isFollowing = row.type === 'Shelf.counted' || isDeepStrictEqual(before, folded.get(key))
    if (!isFollowing)
      findings.add('outOfOrder', 1, `${object}: LSN ${row.lsn} does not start from what the change before it left`)
    if (row.op === 'd') folded.delete(key)
    else folded.set(key, JSON.parse(row.after ?? 'null'))
  }
  const stored = new Map<string, unknown>([
    ...stock.parcels.map((parcel) => [`${object}/Parcel/${parcel.$id}`, parcel] as const),
    ...stock.shelves.map((shelf) => [`${object}/Shelf/${shelf.shelf}`, shelf] as const),
  ])
  for (const key of new Set([...folded.keys(), ...stored.keys()]))
    if (!isDeepStrictEqual(folded.get(key), stored.get(key)))
      findings.add('outOfOrder', 1, `${key}: the log does not rebuild what the store holds`)
}

/** The LSNs of each (source, epoch) run from 1 without a gap, each is one row, and no two rows have one id. */
function checkNumbers(findings: Findings, rows: readonly Row[]): void {
  for (const [log, group] of Map.groupBy(rows, (row) => `${row.source} ${row.epoch}`)) {
    const lsns = new Set(group.map(({ lsn }) => lsn))
    const last = group.reduce((max, { lsn }) => Math.max(max, lsn), 0)
    findings.add('gaps', last - lsns.size, `${log}: of ${last} LSNs, ${last - lsns.size} have no row`)
    // The same events twice have been counted by their names; two events under one LSN have not.
    const names = new Set(group.map((row) => nameRow(row))).size
    findings.add('duplicated', names - lsns.size, `${log}: ${names - lsns.size} LSNs have two events`)
  }
  const ids = new Map<string, string>()
  for (const row of rows) {
    const name = `${row.ns} ${nameRow(row)}`
    const other = ids.get(row.id) ?? name
    if (other !== name) findings.add('duplicated', 1, `${row.id} is the id of two events: ${name} and ${other}`)
    ids.set(row.id, other)
  }
}

function inLogOrder(a: Row, b: Row): number {
  return a.epoch === b.epoch ? a.lsn - b.lsn : a.epoch < b.epoch ? -1 : 1
}

function nameEvent(operation: string, { type, op, table, key, token }: LedgerEvent): string {
  return JSON.stringify([operation, type, op, table, key, token])
}

function nameRow(row: Row): string {
  const table = row.table_url === null ? null : row.table_url.slice(row.ns.length + 1)
  const token = tokenOf(row.after) ?? tokenOf(row.data)
  return JSON.stringify([row.correlation_id, row.type, row.op, table, row.key, token])
}

function tokenOf(json: string | null): string | null {
  return json === null ? null : (tokenSchema.parse(JSON.parse(json)).token ?? null)
}
