// Reads the Iceberg table without a line of the library: the bucket through wrangler, the manifests with avsc, the data
// files with DuckDB. Format: https://iceberg.apache.org/spec/

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import avsc from 'avsc'
import * as z from 'zod'
import { openBucket } from '../harness/bucket.ts'

const rowSchema = z.object({
  id: z.string(),
  ns: z.string(),
  source: z.string(),
  epoch: z.string(),
  lsn: z.coerce.number(),
  txid: z.string(),
  type: z.string(),
  op: z.string().nullable(),
  table_url: z.string().nullable(),
  key: z.string().nullable(),
  before: z.string().nullable(),
  after: z.string().nullable(),
  data: z.string().nullable(),
  correlation_id: z.string().nullable(),
  _meta: z.string(),
})

/** The columns of a row that are checked. */
export type Row = z.infer<typeof rowSchema>

const metadataSchema = z.object({
  location: z.string(),
  'current-snapshot-id': z.number(),
  snapshots: z.array(
    z.object({
      'snapshot-id': z.number(),
      'manifest-list': z.string(),
      summary: z.looseObject({ 'total-records': z.coerce.number() }),
    }),
  ),
})
const manifestFileSchema = z.object({ manifest_path: z.string() })
const manifestEntrySchema = z.object({
  status: z.number(),
  data_file: z.object({ file_path: z.string(), record_count: z.number() }),
})

/** In an entry of a manifest: the file is no longer part of the table. */
const STATUS_DELETED = 2
const METADATA_PREFIX = 'cdc/events/metadata/v'
const METADATA_KEY = /\/v(\d+)\.metadata\.json$/

/**
 * All rows of the table's current snapshot. Files that it names go through `directory`.
 *
 * @param metadataKey where a catalog has its metadata, if it is in one.
 */
export async function readTable(state: string, directory: string, metadataKey?: string): Promise<Row[]> {
  await mkdir(directory, { recursive: true })
  const { bucket, close } = await openBucket(state)
  try {
    return await readRows(await download(bucket, directory, metadataKey))
  } finally {
    await close()
  }
}

/** @returns local paths of the current snapshot's data files, and how many rows they must have in total. */
async function download(
  bucket: R2Bucket,
  directory: string,
  metadataKey: string | undefined,
): Promise<{ files: string[]; rows: number }> {
  const key = metadataKey ?? (await newestMetadata(bucket))
  if (key === undefined) return { files: [], rows: 0 }
  const metadata = metadataSchema.parse(JSON.parse((await read(bucket, key)).toString()))
  const snapshot = metadata.snapshots.find((each) => each['snapshot-id'] === metadata['current-snapshot-id'])
  if (snapshot === undefined) throw new Error(`${key} does not name its current snapshot`)
  const entries = await readEntries(bucket, snapshot['manifest-list'])
  const files: string[] = []
  for (const { data_file: file } of entries) {
    const path = join(directory, `${files.length}.parquet`)
    await writeFile(path, await read(bucket, keyOf(file.file_path)))
    files.push(path)
  }
  const rows = entries.reduce((sum, entry) => sum + entry.data_file.record_count, 0)
  const total = snapshot.summary['total-records']
  if (rows !== total) throw new Error(`${key}: the manifests count ${rows} rows, the snapshot ${total}`)
  return { files, rows }
}

async function readEntries(bucket: R2Bucket, manifestList: string): Promise<z.infer<typeof manifestEntrySchema>[]> {
  const manifests = z.array(manifestFileSchema).parse(await decode(await read(bucket, keyOf(manifestList))))
  const entries: z.infer<typeof manifestEntrySchema>[] = []
  for (const { manifest_path: path } of manifests)
    entries.push(...z.array(manifestEntrySchema).parse(await decode(await read(bucket, keyOf(path)))))
  return entries.filter((entry) => entry.status !== STATUS_DELETED)
}

async function newestMetadata(bucket: R2Bucket): Promise<string | undefined> {
  const versions: number[] = []
  let page: R2Objects | undefined
  do {
    page = await bucket.list({ prefix: METADATA_PREFIX, ...(page?.truncated ? { cursor: page.cursor } : {}) })
    versions.push(...page.objects.map(({ key }) => Number(METADATA_KEY.exec(key)?.[1] ?? 0)))
  } while (page.truncated)
  const newest = Math.max(0, ...versions)
  return newest === 0 ? undefined : `${METADATA_PREFIX}${newest}.metadata.json`
}

async function readRows({ files, rows }: { files: readonly string[]; rows: number }): Promise<Row[]> {
  if (files.length === 0) return []
  const connection = await (await DuckDBInstance.create(':memory:')).connect()
  const paths = files.map((path) => `'${path.replaceAll("'", "''")}'`).join(', ')
  const columns = Object.keys(rowSchema.shape).map((name) => `"${name}"`)
  const sql = `SELECT ${columns.join(', ')} FROM read_parquet([${paths}], hive_partitioning = false)`
  const answer = await connection.runAndReadAll(sql)
  const read = z.array(rowSchema).parse(answer.getRowObjectsJson())
  if (read.length !== rows) throw new Error(`the data files hold ${read.length} rows, the manifests count ${rows}`)
  return read
}

async function decode(bytes: Buffer): Promise<unknown[]> {
  const decoder = new avsc.streams.BlockDecoder()
  decoder.end(bytes)
  const records: unknown[] = []
  for await (const record of decoder) records.push(record)
  return records
}

async function read(bucket: R2Bucket, key: string): Promise<Buffer> {
  const object = await bucket.get(key)
  if (object === null) throw new Error(`the table names ${key}, which is not in the bucket`)
  return Buffer.from(await object.arrayBuffer())
}

/** `s3://<bucket>/<key>` */
function keyOf(path: string): string {
  return new URL(path).pathname.slice(1)
}
