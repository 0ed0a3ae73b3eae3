// The table, read back as a reader does it, against what the oracle has seen: each event once, nothing that was rolled back,
// and watermarks that say so.

import { readParquet } from '../../src/lake/iceberg/parquet.ts'
import { readManifest, readManifestList, readTableVersion, readWatermarks } from '../../src/lake/table/table-reader.ts'
import type { Watermarks } from '../../src/lake/table/watermarks.ts'
import { EMITTER_NS, isDeadLetter, type Log, type Oracle, type Variant, Violation } from './oracle.ts'

const PREFIX = 'cdc/events/'

interface LandedRow {
  readonly ns: string
  readonly source: string
  readonly epoch: string
  readonly lsn: number
  readonly id: string
  readonly type: string
  readonly isFork: boolean
}

/** Throws unless the table holds what it must, and nothing else. @returns how many rows it has. */
export async function checkTable(bucket: R2Bucket, oracle: Oracle, objects: readonly string[]): Promise<number> {
  const table = await readTableVersion(bucket, PREFIX)
  const rows: LandedRow[] = []
  const manifests = table === undefined ? [] : await readManifestList(bucket, table)
  for (const manifest of manifests)
    for (const file of table === undefined ? [] : readManifest(manifest, await bytesOf(bucket, manifest.key), table))
      rows.push(...(await readRows(bucket, file.key)))
  const watermarks = table === undefined ? {} : await readWatermarks(bucket, table)
  const [emitted, logged] = [rows.filter(({ ns }) => ns === EMITTER_NS), rows.filter(({ ns }) => ns !== EMITTER_NS)]
  checkEmitted(emitted, oracle.emittedIds)
  const byEpoch = Map.groupBy(logged, ({ epoch }) => epoch)
  for (const epoch of byEpoch.keys())
    if (!oracle.logs.has(epoch)) throw new Violation(`I9: the table has an epoch ${epoch} that was never durable`)
  const current = new Set(objects.map((name) => oracle.currentLog(name)))
  for (const log of oracle.logs.values())
    checkLog(log, byEpoch.get(log.epoch) ?? [], { mustBeWhole: current.has(log), watermarks })
  return rows.length
}

/** I5: each once, and each that was accepted. */
function checkEmitted(rows: readonly LandedRow[], emitted: ReadonlyMap<string, boolean>): void {
  const ids = new Set(rows.map(({ id }) => id))
  if (ids.size < rows.length) throw new Violation('I5: an event without an outbox has landed twice')
  for (const id of ids)
    if (!emitted.has(id)) throw new Violation(`I5: the event ${id} has landed, and was never emitted`)
  for (const [id, isAccepted] of emitted)
    if (isAccepted && !ids.has(id))
      throw new Violation(`I3: the event ${id} was accepted without an outbox, and is not in the table`)
}

interface LogFacts {
  /** Whether all of it was delivered, because the outbox goes on with it. */
  readonly mustBeWhole: boolean
  readonly watermarks: Watermarks
}

function checkLog(log: Log, rows: readonly LandedRow[], { mustBeWhole, watermarks }: LogFacts): void {
  const byLSN = Map.groupBy(rows, ({ lsn }) => lsn)
  for (const [lsn, landed] of byLSN) checkRows(log, lsn, landed)
  for (const [lsn, variants] of log.variants) {
    const ids = new Set((byLSN.get(lsn) ?? []).map(({ id }) => id))
    for (const variant of variants) {
      const isCurrent = mustBeWhole && variant === variants.at(-1) && lsn <= log.lastLSN
      if ((variant.isAccepted || isCurrent) && !hasLanded(variant, ids))
        throw new Violation(`I3: in ${log.ns} the event ${variant.n} of LSN ${lsn} is not in the table`)
    }
  }
  checkContiguity(log, byLSN, watermarks)
}

function hasLanded({ id, deadLetterId, isPoison }: Variant, ids: ReadonlySet<string>): boolean {
  return (!isPoison && ids.has(id)) || (deadLetterId !== undefined && ids.has(deadLetterId))
}

/** I5: the rows under one LSN are of different events, and all but one are marked as forks. */
function checkRows(log: Log, lsn: number, rows: readonly LandedRow[]): void {
  const variants = log.variants.get(lsn) ?? []
  const place = `in ${log.ns} under LSN ${lsn}`
  if (new Set(rows.map(({ id }) => id)).size < rows.length)
    throw new Violation(`I5: ${place} an event has landed twice`)
  if (rows.filter(({ isFork }) => !isFork).length !== 1)
    throw new Violation(
      `I5: ${place} are ${rows.length} rows, of which ${rows.filter(({ isFork }) => isFork).length} are forks`,
    )
  for (const row of rows) {
    if (isDeadLetter(row)) continue
    const variant = variants.find(({ id }) => id === row.id)
    if (variant === undefined) throw new Violation(`I1: ${place} has landed what never was durable`)
    if (variant.isPoison) throw new Violation(`I3: ${place} has landed what the pipeline refuses`)
  }
}

/** I10: up to the watermark no LSN is missing, and the watermark is the last LSN. */
function checkContiguity(log: Log, byLSN: ReadonlyMap<number, unknown>, watermarks: Watermarks): void {
  const lsns = [...byLSN.keys()].toSorted((a, b) => a - b)
  const [first, last] = [lsns[0], lsns.at(-1)]
  if (first === undefined || last === undefined) return
  if (last - first + 1 !== lsns.length)
    throw new Violation(`I10: in ${log.ns} ${lsns.length} LSNs have landed between ${first} and ${last}`)
  const watermark = watermarks[`${log.ns}/DO/Ledger`]?.[log.epoch]
  if (watermark !== last)
    throw new Violation(`I10: in ${log.ns} LSN ${last} has landed, and the watermark is ${watermark}`)
}

async function readRows(bucket: R2Bucket, key: string): Promise<LandedRow[]> {
  const rows = await readParquet((await bytesOf(bucket, key)).buffer, [
    'ns',
    'source',
    'epoch',
    'lsn',
    'id',
    'type',
    '_meta',
  ])
  return rows.map(({ ns, source, epoch, lsn, id, type, _meta }) => ({
    ns: String(ns),
    source: String(source),
    epoch: String(epoch),
    lsn: Number(lsn),
    id: String(id),
    type: String(type),
    isFork: String(_meta).includes('"isFork":true'),
  }))
}

async function bytesOf(bucket: R2Bucket, key: string): Promise<Uint8Array<ArrayBuffer>> {
  const object = await bucket.get(key)
  if (object === null) throw new Violation(`I5: the table names ${key}, which is not in the bucket`)
  return new Uint8Array(await object.arrayBuffer())
}
