// The files of one table in its bucket.

export interface TableBucket {
  readonly bucket: R2Bucket
  /** The table's root: `s3://lake/cdc/events`. */
  readonly root: string
  /** What its keys begin with: `cdc/events/`. */
  readonly prefix: string
}

/** The keys below a folder, relative to the table's root. */
export async function listKeys({ bucket, prefix }: TableBucket, folder: string): Promise<string[]> {
  const keys: string[] = []
  for (let cursor: string | undefined, isLast = false; !isLast;) {
    const page = await bucket.list({ prefix: prefix + folder, ...(cursor !== undefined && { cursor }) })
    for (const { key } of page.objects) keys.push(key.slice(prefix.length))
    isLast = !page.truncated
    cursor = page.truncated ? page.cursor : undefined
  }
  return keys
}
