// Table metadata: the JSON file that describes a table. Storing the next one, if nobody else has, is what commits.
// Everything here is a pure function from one metadata to the next. Format: https://iceberg.apache.org/spec/#table-metadata

import { CDCError } from '../../error.ts'
import { createPartitionSpec, isWritable, type PartitionField, type PartitionSpec } from './partition.ts'
import { type Column, createSchema, isColumnType, type Schema, type SchemaField } from './schema.ts'
import type { Snapshot, SnapshotId } from './snapshot.ts'

/** Format version 2, spelled as in the spec. Times are milliseconds since 1970. */
export interface TableMetadata {
  readonly 'format-version': 2
  readonly 'table-uuid': string
  /** The table's root, such as `s3://lake/cdc/events`: no slash at the end. */
  readonly location: string
  readonly 'last-sequence-number': number
  readonly 'last-updated-ms': number
  readonly 'last-column-id': number
  readonly schemas: readonly Schema[]
  readonly 'current-schema-id': number
  readonly 'partition-specs': readonly PartitionSpec[]
  readonly 'default-spec-id': number
  readonly 'last-partition-id': number
  readonly 'sort-orders': readonly { readonly 'order-id': number; readonly fields: never[] }[]
  readonly 'default-sort-order-id': number
  readonly properties: Readonly<Record<string, string>>
  /** Missing until the first snapshot. */
  readonly 'current-snapshot-id'?: SnapshotId
  readonly refs: Readonly<Record<string, SnapshotRef>>
  readonly snapshots: readonly Snapshot[]
  /** Files with statistics. We write none, but the fields, as Iceberg's other writers do. */
  readonly statistics: readonly unknown[]
  readonly 'partition-statistics': readonly unknown[]
  readonly 'snapshot-log': readonly { readonly 'snapshot-id': SnapshotId; readonly 'timestamp-ms': number }[]
  readonly 'metadata-log': readonly { readonly 'metadata-file': string; readonly 'timestamp-ms': number }[]
}

/** A name for a snapshot. `main` is the branch that queries read. */
interface SnapshotRef {
  readonly 'snapshot-id': SnapshotId
  readonly type: 'branch' | 'tag'
}

export interface CreateTableOptions {
  readonly location: string
  readonly columns: readonly Column[]
  readonly partition: readonly PartitionField[]
  readonly uuid: string
  readonly nowMs: number
  readonly properties?: Readonly<Record<string, string>>
}

/** Iceberg numbers partition fields from 1000, so a table without any has used 999. */
const PARTITION_ID_BEFORE_FIRST = 999
// Names and default: https://iceberg.apache.org/docs/latest/configuration/#write-properties
const METRICS_OF_COLUMN = 'write.metadata.metrics.column.'
const PREVIOUS_VERSIONS_MAX = 'write.metadata.previous-versions-max'
const PREVIOUS_VERSIONS_MAX_DEFAULT = 100

const NO_STATISTICS = { statistics: [], 'partition-statistics': [] } as const

/**
 * Makes the metadata of a new, empty table. Columns without bounds are recorded as Iceberg's property
 * `write.metadata.metrics.column.<name>=counts`, which other writers obey too.
 *
 * @throws {CDCError} `invalid-argument` if columns, partition or location contradict the spec.
 */
export function createTableMetadata(options: CreateTableOptions): TableMetadata {
  const { location, columns, partition, uuid, nowMs, properties } = options
  if (location === '' || location.endsWith('/'))
    throw new CDCError(
      'invalid-argument',
      `createTableMetadata: the location "${location}" must not be empty or end with a slash`,
    )
  const schema = createSchema(columns)
  return {
    'format-version': 2,
    'table-uuid': uuid,
    location,
    'last-sequence-number': 0,
    'last-updated-ms': nowMs,
    'last-column-id': Math.max(...columns.map((column) => column.id)),
    schemas: [schema],
    'current-schema-id': schema['schema-id'],
    'partition-specs': [createPartitionSpec(schema, partition)],
    'default-spec-id': 0,
    'last-partition-id': Math.max(PARTITION_ID_BEFORE_FIRST, ...partition.map((field) => field['field-id'])),
    'sort-orders': [{ 'order-id': 0, fields: [] }],
    'default-sort-order-id': 0,
    properties: {
      'write.parquet.compression-codec': 'zstd',
      ...metricsOf(columns),
      ...properties,
    },
    refs: {},
    snapshots: [],
    ...NO_STATISTICS,
    'snapshot-log': [],
    'metadata-log': [],
  }
}

/**
 * Adds the columns that the table does not have yet. In files without a column its value is null, so a column that is added
 * must not be required.
 *
 * @throws {CDCError} `invalid-argument` if it is required, or if the table has a column of that id with another name or type.
 */
export function evolveSchema(metadata: TableMetadata, columns: readonly Column[]): TableMetadata {
  const schemaBefore = currentSchema(metadata)
  const added = columns.filter((column) => byId(schemaBefore, column.id) === undefined)
  for (const { id, name, type, required } of columns) {
    const field = byId(schemaBefore, id)
    if (field === undefined ? required : field.name !== name || field.type !== type)
      throw new CDCError('invalid-argument', `evolveSchema: column ${name} (id ${id}) does not fit the table`)
  }
  if (added.length === 0) return metadata
  const schema = {
    ...schemaBefore,
    // What other writers have added to their fields stays.
    fields: createSchema([...schemaBefore.fields, ...added]).fields.map(
      (field) => byId(schemaBefore, field.id) ?? field,
    ),
    'schema-id': Math.max(...metadata.schemas.map((schema) => schema['schema-id'])) + 1,
  }
  return {
    ...metadata,
    schemas: [...metadata.schemas, schema],
    'current-schema-id': schema['schema-id'],
    'last-column-id': Math.max(metadata['last-column-id'], ...added.map(({ id }) => id)),
    properties: { ...metadata.properties, ...metricsOf(added) },
  }
}

function byId({ fields }: Schema, id: number): SchemaField | undefined {
  return fields.find((field) => field.id === id)
}

/** Columns with the ids that a table has for their names, and new ids for those that it does not have. */
export function columnsByName(metadata: TableMetadata, columns: readonly Column[]): Column[] {
  const { fields } = currentSchema(metadata)
  let lastId = metadata['last-column-id']
  return columns.map((column) => ({
    ...column,
    id: fields.find(({ name }) => name === column.name)?.id ?? (lastId += 1),
  }))
}

/** Properties for what a schema does not hold about its columns. */
export function metricsOf(columns: readonly Column[]): Record<string, string> {
  const unbounded = columns.filter((column) => column.bounds === false)
  return Object.fromEntries(unbounded.map((column) => [METRICS_OF_COLUMN + column.name, 'counts']))
}

/** The schema that new files are written with. */
export function currentSchema(metadata: TableMetadata): Schema {
  const schema = metadata.schemas.find((candidate) => candidate['schema-id'] === metadata['current-schema-id'])
  if (schema === undefined) throw new CDCError('invalid-argument', 'table metadata: the current schema is missing')
  return schema
}

/**
 * The partition spec that new files are written with: the default one, or, if another writer has made one of transforms that
 * are not known here, the newest that can be written; nothing if there is none.
 */
export function writableSpec(metadata: TableMetadata): PartitionSpec | undefined {
  const schema = currentSchema(metadata)
  return metadata['partition-specs']
    .toSorted((a, b) => rankOf(metadata, b) - rankOf(metadata, a))
    .find((spec) => isWritable(spec, schema))
}

/** Whether the lake can write manifests of a partition spec. */
export function canWrite(metadata: TableMetadata, specId: number): boolean {
  return isWritable(specOf(metadata, specId), currentSchema(metadata))
}

function rankOf(metadata: TableMetadata, { 'spec-id': id }: PartitionSpec): number {
  return id === metadata['default-spec-id'] ? Infinity : id
}

/** A partition spec of the table by its id. */
export function specOf(metadata: TableMetadata, id: number): PartitionSpec {
  const spec = metadata['partition-specs'].find((candidate) => candidate['spec-id'] === id)
  if (spec === undefined) throw new CDCError('invalid-argument', `table metadata: there is no partition spec ${id}`)
  return spec
}

/**
 * The table with a spec without partitions beside the others, for rows that would make too many files. Each manifest has its
 * own spec, so readers take both: https://iceberg.apache.org/spec/#partition-evolution.
 */
export function withUnpartitionedSpec(metadata: TableMetadata): { metadata: TableMetadata; spec: PartitionSpec } {
  return withSpec(metadata, [])
}

/** The table with a spec of these fields, which it mostly has already. */
export function withSpec(
  metadata: TableMetadata,
  fields: readonly PartitionField[],
): { metadata: TableMetadata; spec: PartitionSpec } {
  const specs = metadata['partition-specs']
  const known = specs.find((other) => nameFields(other.fields) === nameFields(fields))
  if (known !== undefined) return { metadata, spec: known }
  const spec = { 'spec-id': Math.max(...specs.map((other) => other['spec-id'])) + 1, fields }
  return { metadata: { ...metadata, 'partition-specs': [...specs, spec] }, spec }
}

function nameFields(fields: readonly PartitionField[]): string {
  return JSON.stringify(fields.map((field) => [field['source-id'], field['field-id'], field.name, field.transform]))
}

/** The table's columns, from the current schema and the properties. Columns of other types are another writer's, and null here. */
export function columnsOf(metadata: TableMetadata): Column[] {
  const known = currentSchema(metadata).fields.filter((field) => isColumnType(field.type))
  return known.map((field) => {
    const isUnbounded = metadata.properties[METRICS_OF_COLUMN + field.name] === 'counts'
    return isUnbounded ? { ...field, bounds: false } : field
  })
}

/** The snapshot that queries read; none in an empty table. */
export function currentSnapshot(metadata: TableMetadata): Snapshot | undefined {
  return metadata.snapshots.find((snapshot) => snapshot['snapshot-id'] === metadata['current-snapshot-id'])
}

/** Whether the table remembers a snapshot, in its list or in its log. */
export function hasSnapshot({ snapshots, 'snapshot-log': log }: TableMetadata, id: SnapshotId): boolean {
  return [...snapshots, ...log].some((entry) => String(entry['snapshot-id']) === String(id))
}

/**
 * The lowest sequence number of a snapshot that the table remembers, from which on a file that was replaced is not read. 0 if
 * another branch or a tag may still read it.
 */
export function oldestSequenceNumber({ snapshots, refs }: TableMetadata): number {
  if (Object.keys(refs).some((name) => name !== 'main')) return 0
  return snapshots.reduce((oldest, snapshot) => Math.min(oldest, snapshot['sequence-number']), Infinity)
}

/** The sequence number of the next snapshot. */
export function nextSequenceNumber(metadata: TableMetadata): number {
  return metadata['last-sequence-number'] + 1
}

/**
 * The time of the next change: now, but never before the last change. Readers refuse a table whose logs run backwards, and
 * clocks do step back.
 */
export function nextTimestampMs(metadata: TableMetadata, nowMs: number): number {
  return Math.max(nowMs, metadata['last-updated-ms'])
}

/**
 * The key, relative to the table's root, of a file that the table names by its full path.
 *
 * @throws {CDCError} `invalid-config` if the file lies outside of the table.
 */
export function keyBelow(location: string, path: string): string {
  if (path.startsWith(`${location}/`)) return path.slice(location.length + 1)
  throw new CDCError('invalid-config', `lake: ${path} lies outside of the table at ${location}`)
}

/** The same for a file of anybody's: one outside of the table keeps its full path. */
export function keyOfPath(location: string, path: string): string {
  return path.startsWith(`${location}/`) ? path.slice(location.length + 1) : path
}

/**
 * Makes a new snapshot the current one, on the branch `main`.
 *
 * @param metadataKey where `metadata` is stored, relative to the location: it goes into the metadata log. Missing if it was
 * never stored; then the log stays as it is.
 * @throws {CDCError} `invalid-argument` if the snapshot's id is taken, or its sequence number is not the next.
 */
export function withSnapshot(metadata: TableMetadata, snapshot: Snapshot, metadataKey?: string): TableMetadata {
  checkNext(metadata, snapshot)
  const id = snapshot['snapshot-id']
  const timestampMs = nextTimestampMs(metadata, snapshot['timestamp-ms'])
  return {
    ...NO_STATISTICS, // Tables of earlier versions lack them.
    ...metadata,
    'last-sequence-number': snapshot['sequence-number'],
    'last-updated-ms': timestampMs,
    'current-snapshot-id': id,
    refs: { ...metadata.refs, main: { ...metadata.refs['main'], 'snapshot-id': id, type: 'branch' } },
    snapshots: [...metadata.snapshots, { ...snapshot, 'timestamp-ms': timestampMs }],
    'snapshot-log': [...metadata['snapshot-log'], { 'snapshot-id': id, 'timestamp-ms': timestampMs }],
    'metadata-log': nextMetadataLog(metadata, metadataKey),
  }
}

/**
 * Forgets all but the newest snapshots, and those that a branch or a tag names. No row is lost, as the current one reads every
 * live file; time travel is.
 */
export function keepSnapshots(metadata: TableMetadata, maxSnapshots: number): TableMetadata {
  const named = new Set(Object.values(metadata.refs).map((ref) => ref['snapshot-id']))
  const first = metadata.snapshots.length - maxSnapshots
  const snapshots = metadata.snapshots.filter((snapshot, index) => index >= first || named.has(snapshot['snapshot-id']))
  const kept = new Set(snapshots.map((snapshot) => snapshot['snapshot-id']))
  const log = metadata['snapshot-log'].filter((entry) => kept.has(entry['snapshot-id']))
  return { ...metadata, snapshots, 'snapshot-log': log }
}

function checkNext(metadata: TableMetadata, snapshot: Snapshot): void {
  const id = snapshot['snapshot-id']
  if (!Number.isSafeInteger(id) || Number(id) <= 0)
    throw new CDCError('invalid-argument', `withSnapshot: snapshot id ${id} is not a positive integer below 2^53`)
  if (metadata.snapshots.some((other) => other['snapshot-id'] === id))
    throw new CDCError('invalid-argument', `withSnapshot: snapshot id ${id} is taken; draw another one`)
  if (snapshot['sequence-number'] !== nextSequenceNumber(metadata))
    throw new CDCError('invalid-argument', `withSnapshot: sequence number ${snapshot['sequence-number']} is not next`)
}

function nextMetadataLog(metadata: TableMetadata, metadataKey: string | undefined): TableMetadata['metadata-log'] {
  if (metadataKey === undefined) return metadata['metadata-log']
  const max = Number(metadata.properties[PREVIOUS_VERSIONS_MAX] ?? PREVIOUS_VERSIONS_MAX_DEFAULT)
  const previous = {
    'metadata-file': `${metadata.location}/${metadataKey}`,
    'timestamp-ms': metadata['last-updated-ms'],
  }
  return [...metadata['metadata-log'], previous].slice(-Math.max(1, max))
}
