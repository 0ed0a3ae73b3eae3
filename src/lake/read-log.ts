// Reads one log out of the table, a page at a time, in workerd: for those who follow a log from before what its object still
// holds. The table is only read, so that any number of readers keep its writer from nothing.

import { CDCError } from '../error.ts'
import { isoTime } from '../event/iso-time.ts'
import { parseJSON } from '../event/json.ts'
import { isObject } from '../event/kinds.ts'
import type { RPCEvent } from '../event/rpc-event.ts'
import { type Bounded, compareValues } from './iceberg/bounds.ts'
import type { ListedFile } from './iceberg/commit.ts'
import { readManifest, readManifestList } from './iceberg/manifest-read.ts'
import { currentSchema, currentSnapshot, keyOfPath, type TableMetadata } from './iceberg/metadata.ts'
import { readParquet } from './iceberg/parquet.ts'
import type { Row } from './iceberg/schema.ts'
import { parseLocation } from './table/location.ts'

/** How many LSNs one page reads of the table, and how large its events are, about. */
const PAGE_EVENTS_MAX = 2_000
const PAGE_BYTES_MAX = 4_000_000
/** A manifest is never changed, so that what was read of it stays right. */
const MANIFESTS_REMEMBERED_MAX = 128

/** A place in a log. The source is the outbox's own, without the ns. */
export interface LogPlace {
  readonly ns: string
  readonly source: string
  readonly epoch: string
  /** The events after this LSN. */
  readonly after: number
}

/** What the table has after a place. */
export interface LandedPage {
  /** From the next LSN on, without a hole. */
  readonly events: RPCEvent[]
  /** If there are none: the first LSN of that epoch that the table has after a hole. */
  readonly afterHole?: number
  /** If the table has no more of that epoch: the next epoch of the same source, and its first LSN. */
  readonly next?: { readonly epoch: string; readonly firstLSN: number }
}

/** The bounds of what is looked for. Without an upper bound, all that is larger. */
type Range = readonly [lower: Bounded, upper?: Bounded]

export class LogReader {
  readonly #bucket: Pick<R2Bucket, 'get'>
  readonly #metadata: TableMetadata
  readonly #prefix: string

  constructor(bucket: Pick<R2Bucket, 'get'>, metadata: TableMetadata) {
    this.#bucket = bucket
    this.#metadata = metadata
    this.#prefix = parseLocation(metadata.location).prefix
  }

  /** @throws {CDCError} `table-damaged`, retryable if the file may have been replaced meanwhile. */
  async page(place: LogPlace): Promise<LandedPage> {
    const source = `${place.ns}/${place.source}`
    const lsns = [BigInt(place.after + 1), BigInt(place.after + PAGE_EVENTS_MAX)] as const
    const events = await this.#events(place, { source: [source, source], epoch: [place.epoch, place.epoch], lsn: lsns })
    if (events[0]?.lsn === place.after + 1) return { events: untilHole(events) }
    // What comes instead is looked up by its place alone, however far away it is.
    const rows = await this.#places({ source: [source, source], epoch: [place.epoch] }, (epoch, lsn) =>
      epoch === place.epoch ? lsn > place.after : epoch > place.epoch,
    )
    const [first] = rows.toSorted((a, b) => compareValues(a.epoch, b.epoch) || a.lsn - b.lsn)
    if (first === undefined) return { events: [] }
    if (first.epoch === place.epoch) return { events: [], afterHole: first.lsn }
    return { events: [], next: { epoch: first.epoch, firstLSN: first.lsn } }
  }

  async #events({ ns, epoch, after }: LogPlace, ranges: Record<'source' | 'epoch' | 'lsn', Range>) {
    const byLSN = new Map<number, RPCEvent>()
    for (const key of await this.#files(ranges))
      for (const row of await this.#rows(key)) {
        const lsn = Number(row['lsn'] ?? 0)
        if (row['source'] !== ranges.source[0] || row['epoch'] !== epoch) continue
        if (lsn <= after || lsn > after + PAGE_EVENTS_MAX || byLSN.has(lsn)) continue
        const event = eventOf(row, ns)
        // A fork has the LSN of another event, and is not what the log had there first.
        if (event !== undefined) byLSN.set(lsn, event)
      }
    return [...byLSN.values()].toSorted((a, b) => a.lsn - b.lsn)
  }

  /** The places of the rows that match, without the events in them. */
  async #places(ranges: Record<'source' | 'epoch', Range>, matches: (epoch: string, lsn: number) => boolean) {
    const places: { epoch: string; lsn: number }[] = []
    for (const key of await this.#files(ranges))
      for (const row of await this.#rows(key, ['source', 'epoch', 'lsn'])) {
        const [epoch, lsn] = [textOf(row['epoch']) ?? '', Number(row['lsn'] ?? 0)]
        if (row['source'] === ranges.source[0] && matches(epoch, lsn)) places.push({ epoch, lsn })
      }
    return places
  }

  /** The data files that may hold a row within all ranges, by the bounds in the manifests. */
  async #files(ranges: Readonly<Record<string, Range>>): Promise<string[]> {
    const snapshot = currentSnapshot(this.#metadata)
    if (snapshot === undefined) return []
    const ids = new Map(currentSchema(this.#metadata).fields.map(({ id, name }) => [name, id]))
    const list = readManifestList(snapshot['manifest-list'], await this.#read(snapshot['manifest-list']))
    const keys: string[] = []
    for (const manifest of list.filter(({ content }) => content === 0)) {
      const path = manifest.manifest_path
      const files = remembered.get(path) ?? readManifest(await this.#read(path), manifest, this.#metadata)
      remember(path, files)
      for (const { file, key } of files)
        if (Object.entries(ranges).every(([column, range]) => mayHold(file, ids.get(column), range))) keys.push(key)
    }
    return keys
  }

  async #rows(key: string, columns?: readonly string[]): Promise<Row[]> {
    const bytes = await this.#read(`${this.#metadata.location}/${key}`)
    return readParquet(bytes.buffer as ArrayBuffer, columns)
  }

  async #read(path: string): Promise<Uint8Array> {
    const key = this.#prefix + keyOfPath(this.#metadata.location, path)
    const object = await this.#bucket.get(key)
    if (object !== null) return new Uint8Array(await object.arrayBuffer())
    throw new CDCError('table-damaged', `lake: the bucket has no object ${key}`, { retryable: true })
  }
}

const remembered = new Map<string, readonly ListedFile[]>()

function remember(path: string, files: readonly ListedFile[]): void {
  // The one that was used last is the last to go.
  remembered.delete(path)
  remembered.set(path, files)
  const [oldest] = remembered.keys()
  if (remembered.size > MANIFESTS_REMEMBERED_MAX && oldest !== undefined) remembered.delete(oldest)
}

function untilHole(events: readonly RPCEvent[]): RPCEvent[] {
  const page: RPCEvent[] = []
  let bytes = 0
  for (const event of events) {
    if (page.length > 0 && (event.lsn !== (page.at(-1)?.lsn ?? 0) + 1 || bytes > PAGE_BYTES_MAX)) break
    page.push(event)
    bytes += JSON.stringify(event).length
  }
  return page
}

/** Whether a file may hold a value of a range. A column without bounds may hold any. */
function mayHold(file: ListedFile['file'], columnId: number | undefined, [lower, upper]: Range): boolean {
  const [smallest, largest] = [boundOf(file['lower_bounds'], columnId), boundOf(file['upper_bounds'], columnId)]
  const isAbove = smallest !== undefined && upper !== undefined && compareValues(decode(smallest, upper), upper) > 0
  const isBelow = largest !== undefined && compareValues(decode(largest, lower), lower) < 0
  return !isAbove && !isBelow
}

function boundOf(bounds: unknown, columnId: number | undefined): Uint8Array | undefined {
  if (!Array.isArray(bounds)) return undefined
  const bound: unknown = bounds.find((entry) => isObject(entry) && entry['key'] === columnId)
  const value = isObject(bound) ? bound['value'] : undefined
  return value instanceof Uint8Array ? value : undefined
}

/** A bound, in the type of what it is compared with. */
function decode(bytes: Uint8Array, like: Bounded): Bounded {
  if (typeof like === 'string') return new TextDecoder().decode(bytes)
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigInt64(0, true)
}

/** The event of a row, in the form that `outbox.list` has; undefined if it is a fork. */
function eventOf(row: Row, ns: string): RPCEvent | undefined {
  const given = parseJSON(textOf(row['_meta']) ?? '{}')
  const { isFork, retries: _retries, ...meta } = isObject(given) ? given : {}
  if (isFork === true) return undefined
  const local = (name: string) => textOf(row[name])?.slice(ns.length + 1)
  const object = (name: string) => parseJSON(textOf(row[name]) ?? 'null') ?? undefined
  const fields = {
    id: textOf(row['id']),
    type: textOf(row['type']),
    op: textOf(row['op']),
    store: textOf(row['store']),
    table: local('table_url'),
    key: textOf(row['key']),
    before: object('before'),
    after: object('after'),
    actor: textOf(row['actor']),
    data: object('data'),
    correlationId: textOf(row['correlation_id']),
    visibility: textOf(row['visibility']),
    timestamp: typeof row['timestamp'] === 'bigint' ? isoTime(row['timestamp'] * 1_000n) : undefined,
    ns,
    txid: textOf(row['txid']),
    lsn: Number(row['lsn']),
    _meta: meta,
  }
  const present = Object.entries(fields).filter(([, value]) => value !== undefined)
  // The lake has checked each record before it wrote its row.
  return Object.fromEntries(present) as unknown as RPCEvent
}

function textOf(value: Row[string]): string | undefined {
  return typeof value === 'string' ? value : undefined
}
