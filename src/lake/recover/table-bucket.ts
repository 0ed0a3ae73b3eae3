// The files of one table in its bucket.

import type { Bucket } from '../table/bucket.ts'

export interface TableBucket {
  readonly bucket: Bucket
  /** The table's root: `s3://lake/cdc/events`. */
  readonly root: string
  /** What its keys begin with: `cdc/events/`. */
  readonly prefix: string
}

/** The keys below a folder, relative to the table's root. */
export async function listKeys({ bucket, prefix }: TableBucket, folder: string): Promise<string[]> {
  const keys = await Array.fromAsync(bucket.keys(prefix + folder))
  return keys.map((key) => key.slice(prefix.length))
}
