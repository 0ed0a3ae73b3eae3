// Which shard takes an event in: a hash of its log decides, or of its ns and id if it has none. Never change the hash: a shard of
// an earlier layout is asked by it for a month.

import { type EventRecord, isCommitted } from '../../event/record.ts'
import { isObject } from '../../event/kinds.ts'
import { unloggedKey } from '../intake/intake.ts'
import { type LogKey, logKey } from '../log.ts'

export function shardOfLog(log: LogKey, shards: number): number {
  return hash(log) % shards
}

export function shardOfEvent(event: { readonly ns: string; readonly id: string }, shards: number): number {
  return hash(unloggedKey(event)) % shards
}

/**
 * The shard that all of a batch goes to, as mostly; undefined if it goes to several. The records are not checked yet: what is not
 * one goes anywhere, to be refused there.
 */
export function onlyShard(records: unknown, shards: number): number | undefined {
  if (!Array.isArray(records) || shards === 1) return 0
  let only: number | undefined
  let before: Partial<EventRecord> = {}
  for (const given of records as unknown[]) {
    const record: Partial<EventRecord> = isObject(given) ? given : {}
    // Neighbours are mostly of one log.
    if (only !== undefined && record.lsn !== undefined && isSameLog(record, before)) continue
    before = record
    const shard = shardOf(record as EventRecord, shards)
    if (only !== undefined && shard !== only) return undefined
    only = shard
  }
  return only ?? 0
}

export function splitRecords(records: readonly EventRecord[], shards: number): Map<number, EventRecord[]> {
  return Map.groupBy(records, (record) => shardOf(record, shards))
}

function shardOf(record: EventRecord, shards: number): number {
  return isCommitted(record) ? shardOfLog(logKey(record), shards) : shardOfEvent(record, shards)
}

function isSameLog(a: Partial<EventRecord>, b: Partial<EventRecord>): boolean {
  return b.lsn !== undefined && a.epoch === b.epoch && a.source === b.source && a.ns === b.ns
}

/** FNV-1a over the text's UTF-16 units, as a number of 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (let index = 0; index < text.length; index += 1) value = Math.imul(value ^ text.charCodeAt(index), 0x01000193)
  return (value ^ (value >>> 15)) >>> 0
}
