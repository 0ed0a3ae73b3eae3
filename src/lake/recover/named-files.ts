// What the bucket's own metadata says the table consists of, as far as it can be read: the newest metadata file that is valid,
// its manifest list, and its manifests. Whatever is missing or not valid is named.

import { reasonOf } from '../../error.ts'
import { parseJSON } from '../../event/json.ts'
import { isObject } from '../../event/kinds.ts'
import type { ListedFile } from '../iceberg/commit.ts'
import { readManifest, readManifestList } from '../iceberg/manifest-read.ts'
import { currentSnapshot, keyBelow, type TableMetadata } from '../iceberg/metadata.ts'
import { metadataKey, versionOf } from '../table/location.ts'
import { listKeys, type TableBucket } from './table-bucket.ts'

/** A file of the table that is missing or not valid, by its key in the bucket. */
export interface Fault {
  readonly file: string
  readonly problem: string
}

export interface NamedFiles {
  /** The newest metadata that is valid, and its version; missing if there is none. */
  readonly base?: { readonly version: number; readonly metadata: TableMetadata }
  /** The highest version that has a metadata file, valid or not; 0 if none has. */
  readonly newestVersion: number
  readonly files: readonly ListedFile[]
  readonly faults: readonly Fault[]
}

export async function readNamedFiles(table: TableBucket): Promise<NamedFiles> {
  const keys = await listKeys(table, 'metadata/v')
  const versions = keys.flatMap((key) => versionOf(key) ?? []).toSorted((a, b) => b - a)
  const faults: Fault[] = []
  for (const version of versions) {
    const metadata = await attempt(faults, table, metadataKey(version), (bytes) => parseMetadata(table, bytes))
    if (metadata === undefined) continue
    const files = await readSnapshot(table, metadata, faults)
    return { base: { version, metadata }, newestVersion: versions[0] ?? 0, files, faults }
  }
  return { newestVersion: versions[0] ?? 0, files: [], faults }
}

async function readSnapshot(table: TableBucket, metadata: TableMetadata, faults: Fault[]): Promise<ListedFile[]> {
  const snapshot = currentSnapshot(metadata)
  if (snapshot === undefined) return []
  const listKey = keyBelow(metadata.location, snapshot['manifest-list'])
  const list = await attempt(faults, table, listKey, (bytes) => readManifestList(listKey, bytes))
  const files: ListedFile[] = []
  for (const manifest of list ?? []) {
    const key = keyBelow(metadata.location, manifest.manifest_path)
    const listed = await attempt(faults, table, key, (bytes) => readManifest(bytes, manifest, metadata))
    files.push(...(listed ?? []))
  }
  return files
}

/** Reads a file. If that fails, the file is a fault. */
async function attempt<Result>(
  faults: Fault[],
  { bucket, prefix }: TableBucket,
  key: string,
  read: (bytes: Uint8Array) => Result,
): Promise<Result | undefined> {
  const found = await bucket.read(prefix + key)
  if (found === undefined) {
    faults.push({ file: prefix + key, problem: 'is gone' })
    return undefined
  }
  try {
    return read(new Uint8Array(found))
  } catch (error) {
    faults.push({ file: prefix + key, problem: `is not valid: ${reasonOf(error)}` })
    return undefined
  }
}

/** Checks what is used of a metadata file: it is of this library's own form, or it is not valid. */
function parseMetadata({ root }: TableBucket, bytes: Uint8Array): TableMetadata {
  const metadata = parseJSON(new TextDecoder().decode(bytes))
  if (!isObject(metadata)) throw new Error('it is no JSON object')
  const lists = ['schemas', 'partition-specs', 'snapshots', 'snapshot-log', 'metadata-log']
  const missing = lists.find((name) => !Array.isArray(metadata[name]))
  if (missing !== undefined) throw new Error(`it has no ${missing}`)
  if (metadata['format-version'] !== 2) throw new Error('it is not Iceberg of version 2')
  if (metadata['location'] !== root) throw new Error(`it is of a table at ${String(metadata['location'])}`)
  const parsed = metadata as unknown as TableMetadata
  if (parsed['current-snapshot-id'] !== undefined && currentSnapshot(parsed) === undefined)
    throw new Error('it lacks its current snapshot')
  return parsed
}
