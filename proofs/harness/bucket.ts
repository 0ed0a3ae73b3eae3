// The bucket that a local Worker writes into, reached through wrangler beside a running Worker or without one.

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadWrangler } from './wrangler.ts'

export interface OpenBucket {
  readonly bucket: R2Bucket
  readonly close: () => Promise<void>
}

/**
 * Opens a bucket.
 *
 * @param state the directory given to `wrangler dev --persist-to`.
 * @param name the bucket's name in the Worker's configuration, which decides where it lies on disk.
 */
export async function openBucket(state: string, name = 'lake'): Promise<OpenBucket> {
  const { getPlatformProxy } = await loadWrangler()
  // A configuration of the bucket alone: with the Worker's own, wrangler would also make storage for its objects.
  const configPath = join(state, `bucket-${name}.json`)
  mkdirSync(state, { recursive: true })
  const buckets = [{ binding: 'BUCKET', bucket_name: name }]
  writeFileSync(configPath, JSON.stringify({ compatibility_date: '2026-08-01', r2_buckets: buckets }))
  const { env, dispose } = await getPlatformProxy<{ BUCKET: R2Bucket }>({
    configPath,
    // `wrangler dev --persist-to X` keeps its state in X/v3.
    persist: { path: join(state, 'v3') },
    envFiles: [],
  })
  return { bucket: env.BUCKET, close: dispose }
}
