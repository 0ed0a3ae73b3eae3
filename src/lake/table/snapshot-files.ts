// What a snapshot consists of, by whoever committed it: its manifests, and the files that each of them lists.

import { CDCError } from '../../error.ts'
import type { PreparedManifest } from '../iceberg/commit.ts'
import { readManifest, readManifestList } from '../iceberg/manifest-read.ts'
import type { ManifestFile } from '../iceberg/manifest.ts'
import { currentSnapshot, keyOfPath, type TableMetadata } from '../iceberg/metadata.ts'
import type { Bucket } from './bucket.ts'
import type { Location } from './location.ts'

type KeyedManifest = Pick<PreparedManifest, 'key' | 'manifest'>

export class SnapshotFiles {
  readonly #bucket: Bucket
  readonly #location: Location

  constructor(bucket: Bucket, location: Location) {
    this.#bucket = bucket
    this.#location = location
  }

  /** The manifests of the current snapshot. @throws {CDCError} `table-damaged`. */
  async manifests(metadata: TableMetadata): Promise<KeyedManifest[]> {
    const { 'manifest-list': path } = currentSnapshot(metadata) ?? {}
    if (path === undefined) return []
    const manifests = readManifestList(path, await this.#read(path))
    return manifests.map((manifest) => ({ manifest, key: keyOfPath(metadata.location, manifest.manifest_path) }))
  }

  /** The same manifest with its data files. @throws {CDCError} `table-damaged`. */
  async withFiles({ key, manifest }: KeyedManifest, metadata: TableMetadata): Promise<PreparedManifest> {
    return { key, manifest, files: manifest.content === 0 ? await this.#files(manifest, metadata) : [] }
  }

  async #files(manifest: ManifestFile, metadata: TableMetadata) {
    const path = manifest.manifest_path
    const bytes = await this.#read(path)
    try {
      return readManifest(bytes, manifest, metadata)
    } catch (cause) {
      throw new CDCError('table-damaged', `lake: ${path} is not as Iceberg defines it`, { cause })
    }
  }

  /** It may be anywhere in the bucket. */
  async #read(path: string): Promise<Uint8Array> {
    const root = `s3://${this.#location.bucket}/`
    const bytes = path.startsWith(root) ? await this.#bucket.read(path.slice(root.length)) : undefined
    if (bytes !== undefined) return new Uint8Array(bytes)
    throw new CDCError(
      'table-damaged',
      `lake: the table's file ${path} is not in the bucket that is bound as LAKE_BUCKET`,
    )
  }
}
