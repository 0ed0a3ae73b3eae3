import type { NewFile } from '../iceberg/commit.ts'
import type { Bucket } from './bucket.ts'

/** Requests that an object may have open at once, by the platform's rules. */
const PUTS_AT_ONCE = 6

/** @param prefix what the keys of the files begin with in the bucket. */
export async function storeFiles(bucket: Bucket, prefix: string, files: readonly NewFile[]): Promise<void> {
  for (let index = 0; index < files.length; index += PUTS_AT_ONCE)
    await Promise.all(files.slice(index, index + PUTS_AT_ONCE).map(({ key, bytes }) => bucket.put(prefix + key, bytes)))
}
