// The lake under test: the project's own Worker, run as `wrangler dev` runs it, with its state in a fresh directory.

import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { getPlatformProxy, unstable_readConfig, unstable_startWorker } from 'wrangler'
import * as z from 'zod'
import { ACCESS_KEY_ID, TOKEN_NAME } from '../../src/lake/catalog/access.ts'
import { locationOf } from '../../src/lake/table/location.ts'

/** The table's place in the bucket. */
const TABLE_PREFIX = locationOf({}).prefix

const PAGES_MAX = 100
const CALL_MS_MAX = 30_000

export const CONFIG = join(import.meta.dirname, '../..', 'wrangler.toml')

/** What the table's metadata file says of it. */
export interface TableDescription {
  readonly columns: readonly { readonly name: string; readonly type: string; readonly required: boolean }[]
  readonly snapshots: readonly { readonly id: number; readonly operation: string; readonly records: string }[]
}

const metadataShape = z
  .object({
    // A table that was just made has had one schema only.
    schemas: z.tuple([
      z.object({ fields: z.array(z.object({ name: z.string(), type: z.string(), required: z.boolean() })) }),
    ]),
    snapshots: z.array(
      z.object({
        'snapshot-id': z.int(),
        summary: z.looseObject({ operation: z.string(), 'total-records': z.string() }),
      }),
    ),
  })
  .transform(({ schemas: [schema], snapshots }) => ({
    columns: schema.fields,
    snapshots: snapshots.map(({ 'snapshot-id': id, summary }) => ({
      id,
      operation: summary.operation,
      records: summary['total-records'],
    })),
  }))

/** How an engine reaches the catalog and the table's files. */
export interface CatalogAddress {
  readonly catalog: string
  readonly files: string
  readonly accessKeyId: string
  readonly token: string
}

/** With what a URL does not hold as it is, for the signatures' sake. */
const TOKEN = 'interop/+ token'

/** So that a few commits bring all kinds of snapshots about: appends, compactions, merged manifests. */
const LIMITS = { rollMs: 300, minCompactFiles: 3, maxManifests: 6 }

/** Starts the Worker. @returns where it is, how to post JSON to it, and how to stop it. */
export async function startWorker(state: string) {
  // Without this, each start asks the network for an example of `request.cf`.
  process.env['CLOUDFLARE_CF_FETCH_ENABLED'] ??= 'false'
  const worker = await unstable_startWorker({
    config: CONFIG,
    bindings: {
      [TOKEN_NAME]: { type: 'plain_text', value: TOKEN },
      LAKE_LIMITS: { type: 'plain_text', value: JSON.stringify(LIMITS) },
    },
    dev: {
      server: { hostname: '127.0.0.1', port: 0 },
      inspector: false,
      persist: state, // in v3/ below it, like `wrangler dev --persist-to <state>`
      watch: false,
      logLevel: 'warn',
    },
  })
  const url = await worker.url
  return { url, post: (path: string, body: unknown) => post(new URL(path, url), body), stop: () => worker.dispose() }
}

/** The catalog of a Worker at a URL. */
export function catalogAt(url: string): CatalogAddress {
  return { catalog: `${url}/catalog`, files: `${url}/lake`, accessKeyId: ACCESS_KEY_ID, token: TOKEN }
}

/** Opens the bucket that the Worker writes into, beside the running Worker or without it. */
export async function openBucket(state: string) {
  const configPath = join(state, 'bucket.json')
  await mkdir(state, { recursive: true })
  await writeFile(configPath, JSON.stringify({ name: 'interop', r2_buckets: lakeBuckets() }))
  const persist = { path: join(state, 'v3') }
  const { env, dispose } = await getPlatformProxy<{ LAKE_BUCKET: R2Bucket }>({ configPath, persist, envFiles: [] })
  return { bucket: env.LAKE_BUCKET, close: dispose }
}

function lakeBuckets() {
  const shape = z.array(z.object({ binding: z.string(), bucket_name: z.string() }))
  const buckets = shape.parse(unstable_readConfig({ config: CONFIG }, { hideWarnings: true }).r2_buckets)
  return buckets.filter(({ binding }) => binding === 'LAKE_BUCKET')
}

/** Reads the current metadata file, the one of the highest version; nothing where nothing was committed yet. */
export async function describeTable(bucket: R2Bucket): Promise<TableDescription | undefined> {
  const { objects } = await bucket.list({ prefix: `${TABLE_PREFIX}metadata/v` })
  const versions = objects.map(({ key }) => Number(/\/v(\d+)\.metadata\.json$/.exec(key)?.[1] ?? 0))
  if (versions.length === 0) return undefined
  const object = await bucket.get(`${TABLE_PREFIX}metadata/v${Math.max(...versions)}.metadata.json`)
  return metadataShape.parse(await object?.json())
}

/** Copies every object of the table to a file with the same path. @returns the table's directory. */
export async function exportTable(bucket: R2Bucket, directory: string): Promise<string> {
  let cursor: string | undefined
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const list = await bucket.list({ prefix: TABLE_PREFIX, ...(cursor !== undefined && { cursor }) })
    for (const { key } of list.objects) await exportObject(bucket, key, join(directory, key))
    if (!list.truncated) return join(directory, TABLE_PREFIX.replace(/\/$/, ''))
    cursor = list.cursor
  }
  throw new Error(`interop: the table has more than ${PAGES_MAX} pages of objects`)
}

async function exportObject(bucket: R2Bucket, key: string, path: string): Promise<void> {
  const object = await bucket.get(key)
  if (object === null) throw new Error(`interop: ${key} is gone from the bucket while it is copied`)
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, new Uint8Array(await object.arrayBuffer()))
}

async function post(url: URL, body: unknown): Promise<void> {
  const signal = AbortSignal.timeout(CALL_MS_MAX)
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(body), signal })
  if (!response.ok) throw new Error(`interop: ${url.pathname} answered ${response.status}: ${await response.text()}`)
  await response.text()
}
