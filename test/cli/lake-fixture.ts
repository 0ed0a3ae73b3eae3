// A lake on disk for the tests of the command: a project with a wrangler.toml like a user's, and an Iceberg table in its
// local R2, written by the library's own writer through the bucket that `wrangler dev` would use.

import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Run, runCommand } from '../../proofs/harness/command.ts'
import { prepareAppend, type Table } from '../../src/lake/iceberg/commit.ts'
import { createTableMetadata } from '../../src/lake/iceberg/metadata.ts'
import type { Row } from '../../src/lake/iceberg/schema.ts'
import { snapshotIdFrom } from '../../src/lake/iceberg/snapshot.ts'
import { EVENTS_COLUMNS, EVENTS_PARTITION } from '../../src/lake/table/table.ts'
import { lendBucket, takeBack } from './shared-buckets.ts'

const WRANGLER_TOML = `name = "shop"
main = "src/worker-that-is-not-there.ts"
compatibility_date = "2026-08-01"
compatibility_flags = ["nodejs_compat"]

[[r2_buckets]]
binding = "LAKE_BUCKET"
bucket_name = "durable-outbox-lake"

[[r2_buckets]]
binding = "OTHER"
bucket_name = "other"

[[durable_objects.bindings]]
name = "CUSTOMERS"
class_name = "Customers"

[[migrations]]
tag = "v1"
new_sqlite_classes = ["Customers"]
`

export type { Run }

/** Makes an empty project folder. `remove` removes it, with its lakes. */
export async function createProject() {
  const root = await mkdtemp(join(tmpdir(), 'durable-outbox-query-'))
  await writeFile(join(root, 'wrangler.toml'), WRANGLER_TOML)
  async function remove(): Promise<void> {
    takeBack(root)
    await rm(root, { recursive: true, force: true })
  }
  return { root, remove }
}

/** Runs the command in a project, as the program does. */
export function runIn(
  root: string,
  args: readonly string[],
  more: { stdin?: string; columns?: number; env?: Record<string, string> } = {},
): Promise<Run> {
  return runCommand(args, { cwd: root, ...more })
}

export type Lake = Awaited<ReturnType<typeof openLake>>

/** Opens the lake in one of a project's state directories, as the writer. */
export async function openLake(root: string, state = '.wrangler/state', location = 's3://lake/cdc/events') {
  const bucket = await lendBucket(join(root, state))
  const prefix = location.replace('s3://lake/', '') + '/'
  let version = 0
  let table = newTable(location)

  async function commit(rows: readonly Row[], options: { nowMs?: number; hint?: string } = {}): Promise<void> {
    const prepared = prepareAppend(table, rows, {
      summary: {},
      nowMs: options.nowMs ?? Date.now(),
      uuid: randomUUID,
      snapshotId: snapshotIdFrom(randomBytes(8)),
    })
    for (const file of prepared.files) await bucket.put(prefix + file.key, file.bytes)
    version += 1
    const metadataKey = `metadata/v${version}.metadata.json`
    await bucket.put(prefix + metadataKey, JSON.stringify(prepared.metadata))
    await bucket.put(`${prefix}metadata/version-hint.text`, options.hint ?? String(version))
    table = {
      metadata: prepared.metadata,
      manifests: [...prepared.manifests.map(({ manifest }) => manifest), ...table.manifests],
      metadataKey,
    }
  }

  return {
    bucket,
    prefix,
    append: commit,
    /** Commits a snapshot with these rows alone; the files of the older ones stay in the bucket. */
    async replace(rows: readonly Row[]): Promise<void> {
      table = newTable(location)
      await commit(rows)
    },
    current: () => ({ version, table }),
  }
}

function newTable(location: string): Table {
  const metadata = createTableMetadata({
    location,
    columns: EVENTS_COLUMNS,
    partition: EVENTS_PARTITION,
    uuid: randomUUID(),
    nowMs: Date.now(),
  })
  return { metadata, manifests: [] }
}

/** A row of the table: an event with the given fields, at the given time. */
export function eventRow(time: string | number, fields: Row): Row {
  return {
    id: randomUUID(),
    type: 'Customer.created',
    timestamp: BigInt(new Date(time).getTime()) * 1000n,
    ns: 'startups.studio',
    _meta: '{"schemaVersion":1,"source":"DO/customers"}',
    ...fields,
  }
}
