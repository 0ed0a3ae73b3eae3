// Buckets for the tests of the command. Wrangler takes half a second to start one, so a bucket that is no longer needed is
// emptied and lent again, under another project's state directory.

import { mkdtempSync, rmSync } from 'node:fs'
import { mkdir, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openBucket } from '../../proofs/harness/bucket.ts'

interface SharedBucket {
  readonly bucket: R2Bucket
  /** Where it lies on disk. */
  readonly directory: string
}

const idle: SharedBucket[] = []
/** Those that are lent, by the state directory that has them. */
const lent = new Map<string, SharedBucket>()

/** The bucket of a state directory: empty at first, and from then on the same. */
export async function lendBucket(state: string): Promise<R2Bucket> {
  const known = lent.get(state)
  if (known !== undefined) return known.bucket
  const shared = idle.pop() ?? (await startBucket())
  lent.set(state, shared)
  const { objects } = await shared.bucket.list()
  await shared.bucket.delete(objects.map(({ key }) => key))
  await mkdir(state, { recursive: true })
  await symlink(join(shared.directory, 'v3'), join(state, 'v3'))
  return shared.bucket
}

/** Takes back the buckets of the state directories below a folder. */
export function takeBack(root: string): void {
  for (const [state, shared] of lent)
    if (state.startsWith(root)) {
      lent.delete(state)
      idle.push(shared)
    }
}

async function startBucket(): Promise<SharedBucket> {
  const directory = mkdtempSync(join(tmpdir(), 'durable-outbox-bucket-'))
  process.once('exit', () => rmSync(directory, { recursive: true, force: true, maxRetries: 3 }))
  const { bucket } = await openBucket(directory, 'durable-outbox-lake')
  return { bucket, directory }
}
