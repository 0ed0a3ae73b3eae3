// The metadata of a table as a catalog gives it. Another writer, in any language, may have made it, so what is used of it is
// checked, and what the specification lets be missing is filled in.

import { CDCError } from '../../error.ts'
import { isObject } from '../../event/kinds.ts'
import type { TableMetadata } from '../iceberg/metadata.ts'
import type { SnapshotId } from '../iceberg/snapshot.ts'

const LISTS = ['schemas', 'partition-specs', 'sort-orders']
const LISTS_THAT_MAY_BE_MISSING = ['snapshots', 'snapshot-log', 'metadata-log', 'statistics', 'partition-statistics']
/** Java's library writes it where there is no snapshot. */
const NO_SNAPSHOT = -1

/** @throws {CDCError} `catalog-failed` for what is no metadata; `invalid-config` for a format that the lake does not write. */
export function parseMetadata(value: unknown, uri: string): TableMetadata {
  if (!isObject(value)) throw invalid(uri, 'no metadata')
  const version = value['format-version']
  if (version !== 2)
    throw new CDCError(
      'invalid-config',
      `lake: the table in the catalog at ${uri} is of Iceberg's format version ${String(version)}, and the lake writes 2`,
    )
  const missing = [
    ...LISTS.filter((name) => !Array.isArray(value[name])),
    ...['table-uuid', 'location'].filter((name) => typeof value[name] !== 'string'),
    ...['last-sequence-number', 'last-updated-ms', 'last-column-id', 'current-schema-id', 'default-spec-id'].filter(
      (name) => !Number.isSafeInteger(value[name]),
    ),
  ]
  if (missing.length > 0) throw invalid(uri, `metadata without ${missing.join(', ')}`)
  const { 'current-snapshot-id': current, refs, properties, ...rest } = value
  const currentId = isSnapshotId(current) && current !== NO_SNAPSHOT ? current : undefined
  const main = currentId === undefined ? {} : { main: { 'snapshot-id': currentId, type: 'branch' } }
  const lists = Object.fromEntries(
    LISTS_THAT_MAY_BE_MISSING.map((name) => [name, Array.isArray(value[name]) ? value[name] : []]),
  )
  const metadata = {
    ...rest,
    ...lists,
    location: String(value['location']).replace(/\/+$/, ''),
    properties: isObject(properties) ? properties : {},
    refs: isObject(refs) ? refs : main,
    ...(currentId !== undefined && { 'current-snapshot-id': currentId }),
  } as unknown as TableMetadata
  const snapshots = metadata.snapshots.map((snapshot) => ({
    ...snapshot,
    'sequence-number': snapshot['sequence-number'] ?? 0,
    summary: snapshot.summary ?? { operation: 'append' },
  }))
  if (currentId !== undefined && !snapshots.some((snapshot) => snapshot['snapshot-id'] === currentId))
    throw invalid(uri, 'metadata without its current snapshot')
  return { ...metadata, snapshots }
}

function isSnapshotId(value: unknown): value is SnapshotId {
  return typeof value === 'string' || typeof value === 'number'
}

function invalid(uri: string, problem: string): CDCError {
  return new CDCError('catalog-failed', `lake: the catalog at ${uri} has answered with ${problem}`)
}
