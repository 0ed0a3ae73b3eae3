// Reads the table out of a bucket: its current version, that version's data files, and the watermarks. The answers come from
// the table's metadata, never from a listing of `data/`: files that no snapshot names are orphans of a crash, and files of
// older snapshots may hold rows that were rewritten since. For Node, see ../iceberg/read.ts.

import { CDCError } from '../../error.ts'
import { keyBelow } from '../iceberg/metadata.ts'
import * as iceberg from '../iceberg/read.ts'
import type { Column } from '../iceberg/schema.ts'
import type { SnapshotId } from '../iceberg/snapshot.ts'
import { metadataKey, parseLocation, VERSION_HINT_KEY, versionOf } from './location.ts'
import { currentWatermarks, type Watermarks } from './watermarks.ts'

/** What is read of a bucket. */
export type LakeBucket = Pick<R2Bucket, 'get' | 'head' | 'list'>

/** An object that the table names. It is never changed once written, so a copy stays right forever. */
export interface LakeFile {
  readonly key: string
  readonly bytes: number
}

/** A manifest of the current snapshot, with the number of data files that it must list if that is known. */
export interface LakeManifest extends LakeFile {
  readonly files?: number
}

/** A data file of the current snapshot. */
export interface LiveFile extends LakeFile {
  readonly rows: number
}

/** A version of the table: its columns, and its snapshot once something was committed. */
export interface TableVersion {
  readonly version: number
  /** What full paths in the table's files begin with: `s3://lake/cdc/events`. A table that was copied keeps its first one. */
  readonly location: string
  /** What the table's keys in the bucket begin with: `cdc/events/`. */
  readonly prefix: string
  readonly columns: readonly Column[]
  readonly committedMs: number
  readonly snapshot?: { readonly id: SnapshotId; readonly manifestListKey: string }
  readonly summaries: iceberg.MetadataContent['summaries']
  readonly properties: iceberg.MetadataContent['properties']
}

/** How many versions are looked for above the hint, one request each, before the folder is listed instead. */
const PROBES_MAX = 32

/**
 * Reads the newest metadata of the table.
 *
 * @returns nothing if no table was ever committed.
 * @throws {CDCError} `table-damaged` if a file is not valid, or, retryable, is gone; `invalid-config` for what cannot be read.
 */
export async function readTableVersion(bucket: LakeBucket, prefix: string): Promise<TableVersion | undefined> {
  const version = await newestVersion(bucket, prefix)
  if (version === 0) return undefined
  const key = prefix + metadataKey(version)
  return tableVersion(iceberg.readMetadata(key, await readObject(bucket, key)), version, prefix)
}

/**
 * The version of a table that a catalog has given the metadata of.
 *
 * @throws {CDCError} like `readTableVersion`.
 */
export function tableVersionOf(name: string, metadata: unknown): TableVersion {
  const content = iceberg.parseMetadata(name, metadata)
  return tableVersion(content, content.lastSequenceNumber, parseLocation(content.location).prefix)
}

function tableVersion(content: iceberg.MetadataContent, version: number, prefix: string): TableVersion {
  const { current, updatedMs, lastSequenceNumber: _version, ...rest } = content
  const table = { ...rest, version, prefix, committedMs: current?.committedMs ?? updatedMs }
  if (current === undefined) return table
  return { ...table, snapshot: { id: current.id, manifestListKey: bucketKey(current.manifestList, table) } }
}

/** Reads the table's watermarks; empty if another writer than the lake made it. @throws {CDCError} like `readTableVersion`. */
export async function readWatermarks(bucket: LakeBucket, table: TableVersion): Promise<Watermarks> {
  try {
    const readFile = async (path: string) => {
      const key = bucketKey(path, table)
      return iceberg.readJSON(key, await readObject(bucket, key))
    }
    return await currentWatermarks(table.summaries, readFile, table.properties)
  } catch (error) {
    if (error instanceof CDCError) throw error
    throw new CDCError('table-damaged', 'lake: the watermarks of the table are not valid', { cause: error })
  }
}

/** Names the manifests of the version's snapshot. @throws {CDCError} like `readTableVersion`. */
export async function readManifestList(bucket: LakeBucket, table: TableVersion): Promise<LakeManifest[]> {
  if (table.snapshot === undefined) return []
  const key = table.snapshot.manifestListKey
  const manifests = iceberg.readManifestList(key, await readObject(bucket, key))
  return manifests.map(({ path, ...manifest }) => ({ key: bucketKey(path, table), ...manifest }))
}

/** Names the live data files of one manifest. @throws {CDCError} `table-damaged`, also if there are more or fewer than it must list. */
export function readManifest(
  { key, files: expected }: Pick<LakeManifest, 'key' | 'files'>,
  bytes: Uint8Array,
  table: TableVersion,
): LiveFile[] {
  const files = iceberg.readManifest(key, bytes)
  // Avro has no checksums: what is damaged may still be read.
  if (expected !== undefined && files.length !== expected)
    throw new CDCError(
      'table-damaged',
      `lake: ${key} is not valid: it lists ${files.length} files, and its snapshot gives ${expected} for it`,
    )
  return files.map(({ path, ...file }) => ({ key: bucketKey(path, table), ...file }))
}

/**
 * Finds the highest version that has a metadata file; writing that file is what commits. The hint is written after the
 * commit: it may be missing, behind, or of a version that has expired.
 */
async function newestVersion(bucket: LakeBucket, prefix: string): Promise<number> {
  const exists = async (version: number) => (await bucket.head(prefix + metadataKey(version))) !== null
  const hint = await readHint(bucket, prefix)
  if (hint === 0 || !(await exists(hint))) return listVersions(bucket, prefix)
  for (let version = hint; version < hint + PROBES_MAX; version += 1) if (!(await exists(version + 1))) return version
  return listVersions(bucket, prefix)
}

async function readHint(bucket: LakeBucket, prefix: string): Promise<number> {
  const object = await bucket.get(prefix + VERSION_HINT_KEY)
  const text = (await object?.text())?.trim() ?? ''
  return /^[1-9]\d{0,9}$/.test(text) ? Number(text) : 0
}

async function listVersions(bucket: LakeBucket, prefix: string): Promise<number> {
  let newest = 0
  let cursor: string | undefined
  do {
    const page = await bucket.list({ prefix: `${prefix}metadata/v`, ...(cursor === undefined ? {} : { cursor }) })
    for (const { key } of page.objects) newest = Math.max(newest, versionOf(key.slice(prefix.length)) ?? 0)
    cursor = page.truncated ? page.cursor : undefined
  } while (cursor !== undefined)
  return newest
}

function bucketKey(path: string, { location, prefix }: Pick<TableVersion, 'location' | 'prefix'>): string {
  return prefix + keyBelow(location, path)
}

async function readObject(bucket: LakeBucket, key: string): Promise<Uint8Array> {
  const object = await bucket.get(key)
  if (object === null) throw new CDCError('table-damaged', `lake: the bucket has no object ${key}`, { retryable: true })
  return new Uint8Array(await object.arrayBuffer())
}
