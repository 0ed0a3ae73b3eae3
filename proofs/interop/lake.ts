// The lake under test: the project's own Worker, and what its bucket holds.

import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import * as z from 'zod'
import { ACCESS_KEY_ID, TOKEN_NAME } from '../../src/lake/catalog/access.ts'
import { locationOf } from '../../src/lake/table/location.ts'
import { Runtime } from '../harness/runtime.ts'

/** The table's place in the bucket. */
const TABLE_PREFIX = locationOf({}).prefix

const PAGES_MAX = 100

/** What the table's metadata file tells. */
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
    // With the second one, films are written that would have too many partitions.
    'partition-specs': z.array(z.unknown()).length(2),
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

/** With characters that a URL escapes, because signatures are made over escaped URLs. */
const TOKEN = 'interop/+ token'

/**
 * With these, a few commits produce every kind of snapshot: appends, compactions, merged manifests; and files of both
 * partition specs, as the films have more types than one commit may have partitions, and the customers fewer.
 */
const LIMITS = { rollMs: 300, commitMs: 300, minCompactFiles: 3, maxManifests: 6, maxCommitPartitions: 3 }

/** Starts the project's own Worker. */
export function startWorker(state: string, vars: Readonly<Record<string, string>> = {}): Promise<Runtime> {
  return Runtime.start({ state, vars: { [TOKEN_NAME]: TOKEN, LAKE_LIMITS: JSON.stringify(LIMITS), ...vars } })
}

/** The catalog of a Worker at a URL. */
export function catalogAt(url: string): CatalogAddress {
  return { catalog: `${url}/catalog`, files: `${url}/lake`, accessKeyId: ACCESS_KEY_ID, token: TOKEN }
}

/** Reads the current metadata file, the one of the highest version; undefined before the first commit. */
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
