// What the lake remembers, held against what its table holds. The lake lands an LSN once because it remembers that it did:
// where the rows went away afterwards, by nobody's commit, it has to be told. It is told what to look for and looks
// itself, so that no LSN that the table holds is ever forgotten.

import * as z from 'zod'
import { CDCError } from '../../error.ts'
import { readParquet } from '../iceberg/parquet.ts'
import { contains, type LSNRange, unite, without } from '../intake/ranges.ts'

/** Logs that are looked for in one call, and LSNs of all of them. */
export const SUSPECTS_MAX = 1_000
export const SUSPECTED_LSNS_MAX = 100_000

const lsnSchema = z.int().positive()
const suspectSchema = z.strictObject({
  ns: z.string(),
  /** Global: `<ns>/<source>`. */
  source: z.string(),
  epoch: z.string(),
  ranges: z.array(z.strictObject({ first: lsnSchema, last: lsnSchema })),
})
const suspectsSchema = z
  .array(suspectSchema)
  .max(SUSPECTS_MAX)
  .refine((suspects) => countLSNs(suspects) <= SUSPECTED_LSNS_MAX, {
    error: `more than ${SUSPECTED_LSNS_MAX} LSNs at once`,
  })

/** LSNs of a log that may be missing in the table. */
export type Suspect = z.infer<typeof suspectSchema>

export interface RepairOutcome {
  /** Data files that were gone from the bucket, and that the table does not name any more. */
  goneFiles: number
  /** What was taken for landed and is not in the table. It lands when it is sent again. */
  forgotten: Suspect[]
}

/** The bucket, and where in it a file of the table lies. */
interface TableBucket {
  readonly objects: R2Bucket
  readonly keyOf: (key: string) => string
}

export function parseSuspects(suspects: unknown): Suspect[] {
  const parsed = suspectsSchema.safeParse(suspects)
  if (parsed.success) return parsed.data
  throw new CDCError('invalid-argument', `repair: ${z.prettifyError(parsed.error)}`)
}

/** Which of the table's data files the bucket does not have. */
export async function findGoneFiles({ objects, keyOf }: TableBucket, keys: readonly string[]): Promise<Set<string>> {
  const gone = new Set(keys)
  const root = keyOf('')
  for (let cursor: string | undefined, isLast = false; !isLast;) {
    const page = await objects.list({ prefix: keyOf('data/'), ...(cursor !== undefined && { cursor }) })
    for (const { key } of page.objects) gone.delete(key.slice(root.length))
    isLast = !page.truncated
    cursor = page.truncated ? page.cursor : undefined
  }
  return gone
}

/** What of the suspected is in none of the data files. */
export async function findLost(
  bucket: TableBucket,
  keys: readonly string[],
  suspects: readonly Suspect[],
): Promise<Suspect[]> {
  const found = new Map(suspects.map((suspect) => [nameOf(suspect), sought(suspect)]))
  if (countLSNs(suspects) > 0)
    for (const key of keys)
      for (const { lsn, _meta, ...origin } of await readPlaces(bucket, key)) {
        const log = found.get(nameOf(origin))
        if (log !== undefined && contains(log.ranges, lsn) && !isFork(_meta)) log.lsns.push(lsn)
      }
  return suspects
    .map((suspect) => ({
      ...suspect,
      ranges: without(suspect.ranges, asRanges(found.get(nameOf(suspect))?.lsns ?? [])),
    }))
    .filter(({ ranges }) => ranges.length > 0)
}

function sought({ ranges }: Suspect): { readonly ranges: readonly LSNRange[]; readonly lsns: number[] } {
  return { ranges: unite(ranges), lsns: [] }
}

const rowSchema = z.object({
  ns: z.string(),
  source: z.string().nullish(),
  epoch: z.string().nullish(),
  lsn: z.coerce.number().nullish(),
  _meta: z.string().nullish(),
})

async function readPlaces({ objects, keyOf }: TableBucket, key: string) {
  const object = await objects.get(keyOf(key))
  if (object === null)
    throw new CDCError('not-found', `repair: ${key} has just gone from the bucket`, { retryable: true })
  const rows = await readParquet(await object.arrayBuffer(), Object.keys(rowSchema.shape))
  return rows.map((row) => {
    const { ns, source, epoch, lsn, _meta } = rowSchema.parse(row)
    return { ns, source: source ?? '', epoch: epoch ?? '', lsn: lsn ?? 0, _meta: _meta ?? '{}' }
  })
}

/** A fork has the LSN of another event, and does not stand for it. */
function isFork(meta: string): boolean {
  return z.object({ isFork: z.literal(true) }).safeParse(JSON.parse(meta)).success
}

function nameOf({ ns, source, epoch }: Pick<Suspect, 'ns' | 'source' | 'epoch'>): string {
  return JSON.stringify([ns, source, epoch])
}

function asRanges(lsns: readonly number[]): LSNRange[] {
  return lsns.map((lsn) => ({ first: lsn, last: lsn }))
}

function countLSNs(suspects: readonly { readonly ranges: readonly LSNRange[] }[]): number {
  return suspects
    .flatMap(({ ranges }) => ranges)
    .reduce((sum, { first, last }) => sum + Math.max(0, last - first + 1), 0)
}
