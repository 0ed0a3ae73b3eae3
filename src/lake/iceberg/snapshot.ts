/**
 * Snapshots: the states that a table went through. Each has an id and a summary of what it changed.
 *
 * Format: https://iceberg.apache.org/spec/#snapshots, https://iceberg.apache.org/spec/#optional-snapshot-summary-fields
 */
import { CDCError } from '../../error.ts'
import type { DataFile } from './data-file.ts'

export type Snapshot = {
  'snapshot-id': number
  'parent-snapshot-id'?: number
  'sequence-number': number
  'timestamp-ms': number
  /** Full location of the manifest list. */
  'manifest-list': string
  'schema-id': number
  summary: SnapshotSummary
}

/** Strings only, numbers too: `operation`, Iceberg's counters, and whatever the writer adds. */
export type SnapshotSummary = { operation: 'append'; [name: string]: string }

const SNAPSHOT_ID_MASK = (1n << 53n) - 1n

/**
 * Makes a snapshot id from 8 random bytes. Iceberg's ids are positive longs; ours stay below 2^53, so that they
 * survive JSON in every language, JavaScript included. Throws `invalid-argument` when there are fewer bytes.
 */
export function snapshotIdFrom(random: Uint8Array): number {
  if (random.length < 8) throw new CDCError('invalid-argument', 'snapshotIdFrom: 8 random bytes are needed')
  const bits = new DataView(random.buffer, random.byteOffset, 8).getBigUint64(0)
  return Number(bits & SNAPSHOT_ID_MASK) || 1
}

/**
 * Summarises an append: what it adds, and the table's totals, which are the parent's plus that.
 * `extra` goes in as well, but cannot replace what is counted here.
 */
export function summarizeAppend(
  files: readonly DataFile[],
  parent: Snapshot | undefined,
  extra: Readonly<Record<string, string>>,
): SnapshotSummary {
  const sum = (read: (file: DataFile) => number) => files.reduce((total, file) => total + read(file), 0)
  const added = {
    'data-files': files.length,
    records: sum((f) => f.rowCount),
    'files-size': sum((f) => f.bytes.length),
  }
  const total = (name: keyof typeof added) => String(Number(parent?.summary[`total-${name}`] ?? 0) + added[name])
  return {
    ...extra,
    operation: 'append',
    'added-data-files': String(added['data-files']),
    'added-records': String(added.records),
    'added-files-size': String(added['files-size']),
    'changed-partition-count': String(new Set(files.map((file) => JSON.stringify(file.partition))).size),
    'total-data-files': total('data-files'),
    'total-records': total('records'),
    'total-files-size': total('files-size'),
    'total-delete-files': '0',
    'total-position-deletes': '0',
    'total-equality-deletes': '0',
  }
}
