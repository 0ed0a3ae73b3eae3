// What a catalog is asked to change, and what must hold for that: pure, from the metadata before and after.
// As open-api/rest-catalog-open-api.yaml of Apache Iceberg 1.11.0 defines it.

import type { CommitTableRequest, TableRequirement, TableUpdate } from 'iceberg-js'
import type { TableMetadata } from '../iceberg/metadata.ts'
import type { SnapshotId } from '../iceberg/snapshot.ts'

/** The properties that are the lake's. All others are left as they are. */
const OWN_PROPERTIES = 'cdc.'
/** Stands for the schema that the same request adds. */
const LAST_ADDED = -1

export function commitRequest(base: TableMetadata, next: TableMetadata): CommitTableRequest {
  return { requirements: requirementsOf(base, next), updates: updatesOf(base, next) }
}

function requirementsOf(base: TableMetadata, next: TableMetadata): TableRequirement[] {
  const current = base['current-snapshot-id']
  return [
    { type: 'assert-table-uuid', uuid: base['table-uuid'] },
    // Null if there is no snapshot yet, and must be none.
    {
      type: 'assert-ref-snapshot-id',
      ref: 'main',
      'snapshot-id': current === undefined ? null : numberOf(current),
    },
    // So that a change of either is known to what is written next.
    { type: 'assert-current-schema-id', 'current-schema-id': base['current-schema-id'] },
    { type: 'assert-default-spec-id', 'default-spec-id': base['default-spec-id'] },
    ...whenLonger(base.schemas, next.schemas, (): TableRequirement[] => [
      { type: 'assert-last-assigned-field-id', 'last-assigned-field-id': base['last-column-id'] },
    ]),
    ...whenLonger(base['partition-specs'], next['partition-specs'], (): TableRequirement[] => [
      { type: 'assert-last-assigned-partition-id', 'last-assigned-partition-id': base['last-partition-id'] },
    ]),
  ]
}

function updatesOf(base: TableMetadata, next: TableMetadata): TableUpdate[] {
  const properties = Object.entries(next.properties).filter(
    ([name, value]) => name.startsWith(OWN_PROPERTIES) && base.properties[name] !== value,
  )
  const removed = snapshotsOnlyIn(base, next).map((snapshot) => numberOf(snapshot['snapshot-id']))
  return [
    ...whenLonger(base.schemas, next.schemas, (schema): TableUpdate[] => [
      {
        action: 'add-schema',
        schema: { ...schema, fields: [...schema.fields] },
        'last-column-id': next['last-column-id'],
      },
      { action: 'set-current-schema', 'schema-id': LAST_ADDED },
    ]),
    ...whenLonger(base['partition-specs'], next['partition-specs'], (spec): TableUpdate[] => [
      { action: 'add-spec', spec: { ...spec, fields: [...spec.fields] } },
    ]),
    ...snapshotsOnlyIn(next, base).flatMap(({ 'parent-snapshot-id': parent, ...snapshot }): TableUpdate[] => [
      {
        action: 'add-snapshot',
        snapshot: {
          ...snapshot,
          'snapshot-id': numberOf(snapshot['snapshot-id']),
          ...(parent !== undefined && { 'parent-snapshot-id': numberOf(parent) }),
        },
      },
      // What others have set about the branch stays.
      {
        action: 'set-snapshot-ref',
        'ref-name': 'main',
        ...base.refs['main'],
        type: 'branch',
        'snapshot-id': numberOf(snapshot['snapshot-id']),
      },
    ]),
    ...(properties.length > 0 ? [{ action: 'set-properties' as const, updates: Object.fromEntries(properties) }] : []),
    ...(removed.length > 0 ? [{ action: 'remove-snapshots' as const, 'snapshot-ids': removed }] : []),
  ]
}

/** What follows from the last of a list that has become longer. */
function whenLonger<Item, Result>(
  before: readonly Item[],
  after: readonly Item[],
  make: (added: Item) => Result[],
): Result[] {
  const added = after.at(-1)
  return added !== undefined && after.length > before.length ? make(added) : []
}

function snapshotsOnlyIn({ snapshots }: TableMetadata, other: TableMetadata): TableMetadata['snapshots'] {
  const ids = new Set(other.snapshots.map((snapshot) => snapshot['snapshot-id']))
  return snapshots.filter((snapshot) => !ids.has(snapshot['snapshot-id']))
}

/** The client's types have numbers only. Digits become a number in `unquoteSnapshotIds`. */
function numberOf(id: SnapshotId): number {
  return id as number
}
