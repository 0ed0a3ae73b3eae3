// Reads the files that describe a table: its metadata, a manifest list, a manifest. Any writer may have made them, so what is
// used of them is checked. For the command: zod says more than the lake has to.
// Format: https://iceberg.apache.org/spec/#table-metadata, https://iceberg.apache.org/spec/#manifests

import * as z from 'zod'
import { CDCError } from '../../error.ts'
import { parseJSON } from '../../event/json.ts'
import { refusal } from '../../problem.ts'
import { readAvroFile } from './avro-read.ts'
import { type Column, isColumnType } from './schema.ts'
import type { SnapshotId } from './snapshot.ts'

/** What a reader of the current snapshot needs of the table's metadata. */
export interface MetadataContent {
  readonly location: string
  readonly properties: Readonly<Record<string, string>>
  readonly columns: readonly Column[]
  readonly updatedMs: number
  readonly lastSequenceNumber: number
  /** Missing in a table to which nothing was committed. */
  readonly current?: { readonly id: SnapshotId; readonly committedMs: number; readonly manifestList: string }
  /** The summaries of the snapshots that the table remembers, oldest first. */
  readonly summaries: readonly { readonly sequence: number; readonly summary: Readonly<Record<string, string>> }[]
}

/** A file that a manifest list or a manifest lists. */
interface FileReference {
  /** Full location. */
  readonly path: string
  readonly bytes: number
}

/** A manifest of a manifest list. */
export interface ManifestReference extends FileReference {
  /** How many live data files it lists; missing if the list does not tell. */
  readonly files?: number
}

/** A data file of a manifest. */
export interface DataFileReference extends FileReference {
  readonly rows: number
}

const schemaShape = z.object({
  'schema-id': z.int().optional(),
  fields: z.array(z.object({ id: z.int(), name: z.string(), required: z.boolean(), type: z.unknown() })),
})

const snapshotIdShape = z.union([z.number(), z.string()])

const metadataShape = z.object({
  location: z.string(),
  properties: z.record(z.string(), z.string()).default({}),
  'last-sequence-number': z.number().default(0),
  'last-updated-ms': z.number(),
  'current-schema-id': z.int(),
  schemas: z.array(schemaShape),
  'current-snapshot-id': snapshotIdShape.nullish(),
  snapshots: z
    .array(
      z.object({
        'snapshot-id': snapshotIdShape,
        'sequence-number': z.number().default(0),
        'timestamp-ms': z.number(),
        'manifest-list': z.string(),
        summary: z.record(z.string(), z.string()).default({}),
      }),
    )
    .default([]),
})

const manifestFileShape = z.object({
  manifest_path: z.string(),
  manifest_length: z.number(),
  content: z.number().default(0),
  added_files_count: z.number().nullish(),
  existing_files_count: z.number().nullish(),
})

const manifestEntryShape = z.object({
  status: z.number(),
  data_file: z.object({
    content: z.number().default(0),
    file_path: z.string(),
    file_format: z.string(),
    record_count: z.number(),
    file_size_in_bytes: z.number(),
  }),
})

const ENTRY_DELETED = 2

/** Reads a metadata file. @throws {CDCError} `table-damaged`. */
export function readMetadata(name: string, bytes: Uint8Array): MetadataContent {
  return parseMetadata(name, readJSON(name, bytes))
}

/** The same, of metadata that a catalog gives. */
export function parseMetadata(name: string, value: unknown): MetadataContent {
  const metadata = check(metadataShape, value, name)
  const schema = metadata.schemas.find((candidate) => candidate['schema-id'] === metadata['current-schema-id'])
  if (schema === undefined) throw new CDCError('table-damaged', `lake: ${name} has no schema with its current id`)
  const current = metadata.snapshots.find((snapshot) => snapshot['snapshot-id'] === metadata['current-snapshot-id'])
  return {
    location: metadata.location.replace(/\/+$/, ''),
    properties: metadata.properties,
    // Columns of other types are another writer's.
    columns: schema.fields.flatMap(({ type, ...field }) => (isColumnType(type) ? [{ ...field, type }] : [])),
    updatedMs: metadata['last-updated-ms'],
    lastSequenceNumber: metadata['last-sequence-number'],
    ...(current && {
      current: {
        id: current['snapshot-id'],
        committedMs: current['timestamp-ms'],
        manifestList: current['manifest-list'],
      },
    }),
    summaries: metadata.snapshots
      .map(({ summary, ...snapshot }) => ({ sequence: snapshot['sequence-number'], summary }))
      .toSorted((a, b) => a.sequence - b.sequence),
  }
}

/** Names the manifests of a manifest list. @throws {CDCError} `table-damaged`; `invalid-config` for a table with delete files. */
export function readManifestList(name: string, bytes: Uint8Array): ManifestReference[] {
  const entries = readAvro(manifestFileShape, name, bytes)
  return entries.map(({ manifest_path, manifest_length, content, added_files_count, existing_files_count }) => {
    if (content !== 0) throw deletesUnsupported(manifest_path)
    const files = (added_files_count ?? NaN) + (existing_files_count ?? NaN)
    return { path: manifest_path, bytes: manifest_length, ...(!Number.isNaN(files) && { files }) }
  })
}

/** Names the live data files of a manifest. @throws {CDCError} `table-damaged`; `invalid-config` for delete files. */
export function readManifest(name: string, bytes: Uint8Array): DataFileReference[] {
  const entries = readAvro(manifestEntryShape, name, bytes)
  return entries
    .filter(({ status }) => status !== ENTRY_DELETED)
    .map(({ data_file: { content, file_path, file_format, file_size_in_bytes, record_count } }) => {
      if (content !== 0) throw deletesUnsupported(file_path)
      if (file_format.toUpperCase() !== 'PARQUET')
        throw new CDCError('invalid-config', `lake: ${file_path} is ${file_format}; only Parquet can be read`)
      return { path: file_path, bytes: file_size_in_bytes, rows: record_count }
    })
}

/** Parses a file of JSON. @throws {CDCError} `table-damaged`. */
export function readJSON(name: string, bytes: Uint8Array): unknown {
  const value = parseJSON(new TextDecoder().decode(bytes))
  if (value === undefined) throw new CDCError('table-damaged', `lake: ${name} is not valid JSON`)
  return value
}

function readAvro<Shape extends z.ZodType>(shape: Shape, name: string, bytes: Uint8Array) {
  return readAvroFile(name, bytes).map((record) => check(shape, record, name))
}

function check<Shape extends z.ZodType>(shape: Shape, value: unknown, name: string): z.infer<Shape> {
  const result = shape.safeParse(value)
  if (result.success) return result.data
  throw refusal('table-damaged', `lake: ${name} is not as Iceberg defines it`, result.error.issues)
}

function deletesUnsupported(path: string): CDCError {
  return new CDCError(
    'invalid-config',
    `lake: the table has delete files (${path}), which are not supported: the answer would count deleted rows; ` +
      'rewrite the table without them, or query it with an engine that applies them',
  )
}
