// Reads an Iceberg table's current snapshot out of a bucket: which data files it has, and with which columns.
// The answer comes from the table's metadata, never from a listing of `data/`: files that no snapshot names
// are orphans of a crash, and files of older snapshots may hold rows that were rewritten since.
// Format: https://iceberg.apache.org/spec/#table-metadata and #manifests.

import avsc from 'avsc'
import * as z from 'zod'
import { CDCError } from '../../error.ts'
import { parseJSON } from '../../event/json.ts'
import type { Column } from './schema.ts'
import { currentWatermarks, type Watermarks } from '../table/watermarks.ts'

/** What is read of a bucket. */
export type LakeBucket = Pick<R2Bucket, 'get' | 'head' | 'list'>

/** How many versions are looked for above the hint, one request each, before the folder is listed instead. */
const PROBES_MAX = 32

/** An object that its table names: never changed once written, so a copy stays right for ever. */
export interface LakeFile {
  readonly key: string
  readonly bytes: number
}

export interface DataFile extends LakeFile {
  readonly rows: number
}

export interface TableRoot {
  /** Such as `s3://lake/cdc/events`. */
  readonly location: string
  /** Such as `cdc/events/`. */
  readonly prefix: string
}

/** The current version of a table: its columns, and its snapshot once something was committed. */
export interface TableVersion {
  readonly version: number
  /** Where the table lies: paths in its files begin with the location, keys in the bucket with the prefix. */
  readonly root: TableRoot
  readonly columns: readonly Column[]
  readonly committedMs: number
  readonly snapshot?: { readonly id: number; readonly manifestListKey: string }
  /** What the snapshots that are remembered say of themselves, oldest first. */
  readonly summaries: readonly { readonly sequence: number; readonly summary: Readonly<Record<string, string>> }[]
}

const schemaShape = z.object({
  'schema-id': z.int().optional(),
  fields: z.array(
    z.object({ id: z.int(), name: z.string(), required: z.boolean(), type: z.enum(['string', 'long', 'timestamptz']) }),
  ),
})

const metadataShape = z.object({
  location: z.string(),
  'last-updated-ms': z.number(),
  'current-schema-id': z.int(),
  schemas: z.array(schemaShape),
  'current-snapshot-id': z.number().nullish(),
  snapshots: z
    .array(
      z.object({
        'snapshot-id': z.number(),
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

/** Reads the newest metadata of the table, or nothing where no table was ever committed. */
export async function readTableVersion(bucket: LakeBucket, prefix: string): Promise<TableVersion | undefined> {
  const version = await newestVersion(bucket, prefix)
  if (version === 0) return undefined
  const key = metadataKey(prefix, version)
  const metadata = check(metadataShape, decodeJSON(key, await readObject(bucket, key)), key)
  const schema = metadata.schemas.find((candidate) => candidate['schema-id'] === metadata['current-schema-id'])
  if (schema === undefined) throw new CDCError('invalid-config', `query: ${key} has no schema with its current id`)
  const current = metadata.snapshots.find((snapshot) => snapshot['snapshot-id'] === metadata['current-snapshot-id'])
  const root = { location: metadata.location, prefix }
  const summaries = metadata.snapshots
    .map(({ summary, ...snapshot }) => ({ sequence: snapshot['sequence-number'], summary }))
    .toSorted((a, b) => a.sequence - b.sequence)
  const table = { version, root, columns: schema.fields, summaries }
  if (current === undefined) return { ...table, committedMs: metadata['last-updated-ms'] }
  const manifestListKey = keyOf(current['manifest-list'], root)
  return {
    ...table,
    committedMs: current['timestamp-ms'],
    snapshot: { id: current['snapshot-id'], manifestListKey },
  }
}

/** What the table says of its logs; nothing where another writer than the lake made it. */
export async function readWatermarks(bucket: LakeBucket, { root, summaries }: TableVersion): Promise<Watermarks> {
  try {
    return await currentWatermarks(summaries, async (location) => {
      const key = keyOf(location, root)
      return decodeJSON(key, await readObject(bucket, key))
    })
  } catch (error) {
    if (error instanceof CDCError) throw error
    const problem = 'verify: what the table says of its logs is no map of watermarks'
    throw new CDCError('invalid-config', problem, { cause: error })
  }
}

/** Names the manifests of the current snapshot, read from its manifest list. */
export async function readManifestList(bucket: LakeBucket, table: TableVersion): Promise<LakeFile[]> {
  if (table.snapshot === undefined) return []
  const key = table.snapshot.manifestListKey
  const entries = await decodeAvro(key, await readObject(bucket, key))
  return entries.map((entry) => {
    const manifest = check(manifestFileShape, entry, key)
    if (manifest.content !== 0) refuseDeletes(manifest.manifest_path)
    return { key: keyOf(manifest.manifest_path, table.root), bytes: manifest.manifest_length }
  })
}

/** Names the live data files of one manifest. */
export async function readManifest(name: string, bytes: Uint8Array, root: TableRoot): Promise<DataFile[]> {
  const entries = (await decodeAvro(name, bytes)).map((entry) => check(manifestEntryShape, entry, name))
  return entries.filter((entry) => entry.status !== ENTRY_DELETED).map((entry) => dataFile(entry.data_file, root))
}

function dataFile(file: z.infer<typeof manifestEntryShape>['data_file'], root: TableRoot): DataFile {
  if (file.content !== 0) refuseDeletes(file.file_path)
  if (file.file_format.toUpperCase() !== 'PARQUET')
    throw new CDCError('invalid-config', `query: ${file.file_path} is ${file.file_format}; only Parquet can be read`)
  return { key: keyOf(file.file_path, root), bytes: file.file_size_in_bytes, rows: file.record_count }
}

function refuseDeletes(path: string): never {
  throw new CDCError(
    'invalid-config',
    `query: the table has delete files (${path}), which are not supported: the answer would count deleted rows; ` +
      'rewrite the table without them, or query it with an engine that applies them',
  )
}

/**
 * Finds the highest N for which `metadata/v<N>.metadata.json` exists; writing that object is what commits.
 * The hint is written after the commit and may be missing, behind, or point at an expired version.
 */
async function newestVersion(bucket: LakeBucket, prefix: string): Promise<number> {
  const hint = await readHint(bucket, prefix)
  if (hint === 0 || !(await exists(bucket, metadataKey(prefix, hint)))) return listVersions(bucket, prefix)
  for (let version = hint; version < hint + PROBES_MAX; version += 1) {
    if (!(await exists(bucket, metadataKey(prefix, version + 1)))) return version
  }
  return listVersions(bucket, prefix)
}

async function readHint(bucket: LakeBucket, prefix: string): Promise<number> {
  const object = await bucket.get(`${prefix}metadata/version-hint.text`)
  const text = (await object?.text())?.trim() ?? ''
  return /^[1-9]\d{0,9}$/.test(text) ? Number(text) : 0
}

async function exists(bucket: LakeBucket, key: string): Promise<boolean> {
  return (await bucket.head(key)) !== null
}

async function listVersions(bucket: LakeBucket, prefix: string): Promise<number> {
  let newest = 0
  let cursor: string | undefined
  do {
    const page = await bucket.list({ prefix: `${prefix}metadata/v`, ...(cursor === undefined ? {} : { cursor }) })
    for (const { key } of page.objects) newest = Math.max(newest, versionOf(key))
    cursor = page.truncated ? page.cursor : undefined
  } while (cursor !== undefined)
  return newest
}

function versionOf(key: string): number {
  return Number(/\/v(\d+)\.metadata\.json$/.exec(key)?.[1] ?? 0)
}

function metadataKey(prefix: string, version: number): string {
  return `${prefix}metadata/v${version}.metadata.json`
}

function keyOf(path: string, { location, prefix }: TableRoot): string {
  if (!path.startsWith(`${location}/`))
    throw new CDCError('invalid-config', `query: ${path} lies outside of the table at ${location}`)
  return prefix + path.slice(location.length + 1)
}

async function readObject(bucket: LakeBucket, key: string): Promise<Uint8Array> {
  const object = await bucket.get(key)
  if (object === null) throw new CDCError('not-found', `query: the lake has no object ${key}`, { retryable: true })
  return new Uint8Array(await object.arrayBuffer())
}

function decodeJSON(key: string, bytes: Uint8Array): unknown {
  const value = parseJSON(new TextDecoder().decode(bytes))
  if (value === undefined) throw new CDCError('invalid-config', `query: ${key} is not JSON`)
  return value
}

async function decodeAvro(name: string, bytes: Uint8Array): Promise<unknown[]> {
  try {
    const decoder = new avsc.streams.BlockDecoder()
    decoder.end(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
    const records: unknown[] = []
    for await (const record of decoder) records.push(record)
    return records
  } catch (error) {
    throw new CDCError('invalid-config', `query: ${name} is not an Avro file that can be read`, { cause: error })
  }
}

function check<T extends z.ZodType>(shape: T, value: unknown, name: string): z.infer<T> {
  const result = shape.safeParse(value)
  if (result.success) return result.data
  throw new CDCError('invalid-config', `query: ${name} is not as Iceberg has it: ${z.prettifyError(result.error)}`)
}
