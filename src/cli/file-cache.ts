// Local copies of a table's files. The lake never changes a file that it has named, so a copy stays right. A copy gets
// its name only when it is complete, so a kill leaves nothing that looks like one.

import { createHash, randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { CDCError } from '../error.ts'
import type { LakeBucket, LakeFile } from '../lake/table/table-reader.ts'

const DOWNLOADS_AT_ONCE = 16

/** How long a file that the snapshot does not name is kept: another query that runs now may have just fetched it. */
export const CACHE_GRACE_MS = 10 * 60_000

export interface FetchedFiles {
  /** Local paths, in the order of the files asked for. */
  readonly paths: readonly string[]
  readonly downloaded: number
}

/** Copies into `directory` the files that it does not have yet. */
export async function fetchFiles(
  bucket: LakeBucket,
  files: readonly LakeFile[],
  directory: string,
): Promise<FetchedFiles> {
  await mkdir(directory, { recursive: true })
  const paths = files.map((file) => join(directory, cacheName(file)))
  const missing: number[] = []
  await forEachAtOnce(files, async (file, index) => {
    if (await isWhole(paths[index] ?? '', file.bytes)) return
    await download(bucket, file, paths[index] ?? '')
    missing.push(index)
  })
  return { paths, downloaded: missing.length }
}

/** Removes copies of files that are not among `files`, and what killed downloads left behind. */
export async function dropOthers(files: readonly LakeFile[], directory: string, nowMs: number): Promise<void> {
  const named = new Set(files.map(cacheName))
  const others = (await readdir(directory)).filter((name) => !named.has(name))
  await forEachAtOnce(others, async (name) => {
    const path = join(directory, name)
    const info = await stat(path).catch(() => undefined)
    if (info !== undefined && info.mtimeMs < nowMs - CACHE_GRACE_MS) await rm(path, { force: true })
  })
}

/** A flat name: a folder such as `type=…` in the path would be read as one more column. */
function cacheName(file: LakeFile): string {
  return createHash('sha256').update(file.key).digest('hex').slice(0, 40) + extname(file.key)
}

async function isWhole(path: string, bytes: number): Promise<boolean> {
  const info = await stat(path).catch(() => undefined)
  return info?.size === bytes
}

async function download(bucket: LakeBucket, file: LakeFile, path: string): Promise<void> {
  const object = await bucket.get(file.key)
  if (object === null)
    throw new CDCError('not-found', `lake: the bucket has no object ${file.key}`, { retryable: true })
  const temporary = `${path}.${randomUUID()}.tmp`
  await pipeline(Readable.from(object.body), createWriteStream(temporary, { flags: 'wx' }))
  if (!(await isWhole(temporary, file.bytes))) {
    await rm(temporary, { force: true })
    throw new CDCError(
      'invalid-config',
      `lake: ${file.key} does not have the ${file.bytes} bytes that the table gives for it`,
    )
  }
  await rename(temporary, path)
}

/** Runs `work` over all items, a limited number at a time. After the first failure no other item is started. */
async function forEachAtOnce<T>(items: readonly T[], work: (item: T, index: number) => Promise<void>): Promise<void> {
  const queue = items.map((item, index) => ({ item, index })).toReversed()
  async function drain(): Promise<void> {
    for (let next = queue.pop(); next !== undefined; next = queue.pop()) await work(next.item, next.index)
  }
  try {
    await Promise.all(Array.from({ length: Math.min(DOWNLOADS_AT_ONCE, queue.length) }, drain))
  } finally {
    queue.length = 0
  }
}
