// Snapshots: the states that a table went through. Each has an id, and a summary of what it changed.
// Format: https://iceberg.apache.org/spec/#snapshots, https://iceberg.apache.org/spec/#optional-snapshot-summary-fields

import { CDCError } from '../../error.ts'

/** A long: a number if that is exact, as for ours; otherwise its digits. */
export type SnapshotId = number | string

export interface Snapshot {
  readonly 'snapshot-id': SnapshotId
  readonly 'parent-snapshot-id'?: SnapshotId
  readonly 'sequence-number': number
  readonly 'timestamp-ms': number
  /** Full location of the manifest list. */
  readonly 'manifest-list': string
  readonly 'schema-id': number
  readonly summary: SnapshotSummary
}

/** Iceberg's counters, and what the writer adds. All values are strings, numbers too. */
export interface SnapshotSummary {
  readonly [name: string]: string
  readonly operation: 'append' | 'delete' | 'overwrite' | 'replace'
}

const SNAPSHOT_ID_MASK = (1n << 53n) - 1n

/**
 * Makes a snapshot id from 8 random bytes. Iceberg's ids are positive longs; ours stay below 2^53, so that JSON carries
 * them exactly in every language, JavaScript included.
 *
 * @throws {CDCError} `invalid-argument` if there are fewer bytes.
 */
export function snapshotIdFrom(random: Uint8Array): number {
  if (random.length < 8) throw new CDCError('invalid-argument', 'snapshotIdFrom: 8 random bytes are needed')
  const bits = new DataView(random.buffer, random.byteOffset, 8).getBigUint64(0)
  return Number(bits & SNAPSHOT_ID_MASK) || 1
}

/** Files that a snapshot adds or removes. */
export interface FileTotals {
  readonly files: number
  readonly records: number
  readonly bytes: number
}

/** What a snapshot changes in the table. */
export interface TableDelta {
  readonly added: FileTotals
  readonly deleted: FileTotals
  readonly partitions: number
}

/**
 * Summarises a snapshot: what it adds and removes, and the table's totals, which are the parent's plus that.
 *
 * @param extra goes in as well, but cannot replace what is counted here.
 */
export function summarize(
  operation: SnapshotSummary['operation'],
  { added, deleted, partitions }: TableDelta,
  parent: Snapshot | undefined,
  extra: Readonly<Record<string, string>>,
): SnapshotSummary {
  const total = (name: string, change: number): string => String(Number(parent?.summary[`total-${name}`] ?? 0) + change)
  return {
    ...extra,
    operation,
    'added-data-files': String(added.files),
    'added-records': String(added.records),
    'added-files-size': String(added.bytes),
    ...(deleted.files > 0 && {
      'deleted-data-files': String(deleted.files),
      'deleted-records': String(deleted.records),
      'removed-files-size': String(deleted.bytes),
    }),
    'changed-partition-count': String(partitions),
    'total-data-files': total('data-files', added.files - deleted.files),
    'total-records': total('records', added.records - deleted.records),
    'total-files-size': total('files-size', added.bytes - deleted.bytes),
    // The lake deletes no single rows, but another writer of its table may.
    'total-delete-files': total('delete-files', 0),
    'total-position-deletes': total('position-deletes', 0),
    'total-equality-deletes': total('equality-deletes', 0),
  }
}
