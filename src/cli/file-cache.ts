// Local copies of a table's files. The lake never changes a file that it has named, so a copy stays right for a query. But a
// copy proves nothing about the bucket: who wants a proof lists the files first. A copy gets its name only when it is
// complete, so a kill leaves nothing that looks like one.

import { createHash, randomUUID } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { CDCError } from '../error.ts'
import type { LakeBucket, LakeFile } from '../lake/table/table-reader.ts'
import { count } from './values.ts'

const DOWNLOADS_AT_ONCE = 16

/** How long a file that the snapshot does not name is kept: another query that runs now may have just fetched it. */
export const CACHE_GRACE_MS = 10 * 60_000

export interface FetchedFiles {
  /** Local paths, in the order of the files asked for. */
  readonly paths: readonly string[]
  readonly downloaded: number
}

/** A file as the bucket has it now, if the bucket was asked. */
interface ListedFile extends LakeFile {
  /** Of a file that was put at once, the MD5 of its bytes in hex. */
  readonly etag?: string
}

/**
 * Looks for every file in the bucket.
 *
 * @param prefix what all of their keys begin with.
 * @throws {CDCError} `table-damaged` if one has another size than the table says; retryable if files are gone.
 */
export async function listFiles(bucket: LakeBucket, files: readonly LakeFile[], prefix: string): Promise<ListedFile[]> {
  const wanted = new Map(files.map((file) => [file.key, file]))
  const found: ListedFile[] = []
  for (let cursor: string | undefined, isLast = wanted.size === 0; !isLast;) {
    const page = await bucket.list({ prefix, ...(cursor !== undefined && { cursor }) })
    for (const { key, size, etag } of page.objects) {
      const file = wanted.get(key)
      if (file === undefined) continue
      if (size !== file.bytes) throw wrongSize(file, size)
      found.push({ ...file, etag })
      wanted.delete(key)
    }
    cursor = page.truncated ? page.cursor : undefined
    isLast = cursor === undefined || wanted.size === 0
  }
  const [gone, ...more] = wanted.keys()
  if (gone !== undefined) throw missingFile(gone, more.length)
  const order = new Map(files.map(({ key }, index) => [key, index]))
  return found.toSorted((a, b) => (order.get(a.key) ?? 0) - (order.get(b.key) ?? 0))
}

/**
 * Copies into `directory` the files that it does not have yet, or has with other bytes than the bucket.
 *
 * @param isFresh whether to copy all of them again.
 */
export async function fetchFiles(
  bucket: LakeBucket,
  files: readonly ListedFile[],
  directory: string,
  isFresh = false,
): Promise<FetchedFiles> {
  await mkdir(directory, { recursive: true })
  const paths = files.map((file) => join(directory, cacheName(file)))
  const missing: number[] = []
  await forEachAtOnce(files, async (file, index) => {
    const path = paths[index] ?? ''
    if (!isFresh && (await isCopy(path, file))) return
    await download(bucket, file, path)
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

async function isCopy(path: string, { bytes, etag }: ListedFile): Promise<boolean> {
  if (!(await isWhole(path, bytes))) return false
  // An object that was uploaded in pieces has another kind of tag.
  if (etag === undefined || !/^[0-9a-f]{32}$/.test(etag)) return true
  const hash = createHash('md5')
  await pipeline(createReadStream(path), hash)
  return hash.digest('hex') === etag
}

async function isWhole(path: string, bytes: number): Promise<boolean> {
  const info = await stat(path).catch(() => undefined)
  return info?.size === bytes
}

async function download(bucket: LakeBucket, file: LakeFile, path: string): Promise<void> {
  const object = await bucket.get(file.key)
  if (object === null) throw missingFile(file.key)
  const temporary = `${path}.${randomUUID()}.tmp`
  await pipeline(Readable.from(object.body), createWriteStream(temporary, { flags: 'wx' }))
  if (!(await isWhole(temporary, file.bytes))) {
    await rm(temporary, { force: true })
    throw wrongSize(file, object.size)
  }
  await rename(temporary, path)
}

function missingFile(key: string, more = 0): CDCError {
  const rest = more === 0 ? '' : ` and ${count(more, 'other', 'others')} that the table names`
  return new CDCError('table-damaged', `lake: the bucket has no object ${key}${rest}`, { retryable: true })
}

function wrongSize({ key, bytes }: LakeFile, size: number): CDCError {
  return new CDCError(
    'table-damaged',
    `lake: ${key} has ${size} bytes, and not the ${bytes} that the table gives for it`,
  )
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
