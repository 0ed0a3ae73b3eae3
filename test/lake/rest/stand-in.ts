// A strict Iceberg REST catalog with one table, for tests: it checks every requirement and what it is asked to change, as
// open-api/rest-catalog-open-api.yaml has it and as Basin Catalog restricts it. It fails on request; and others compact its
// table, let its snapshots expire and change its schema.

import {
  type CommitOptions,
  type ListedFile,
  prepareRemoval,
  prepareRewrite,
  type Table,
} from '../../../src/lake/iceberg/commit.ts'
import { readManifest, readManifestList } from '../../../src/lake/iceberg/manifest-read.ts'
import { type ManifestFile, writeManifestList } from '../../../src/lake/iceberg/manifest.ts'
import { currentSnapshot, keyBelow, type TableMetadata } from '../../../src/lake/iceberg/metadata.ts'
import { EVENTS_COLUMNS } from '../../../src/lake/table/table.ts'
import { readParquet } from '../../../src/lake/iceberg/parquet.ts'
import type { Row } from '../../../src/lake/iceberg/schema.ts'

type JSONObject = Record<string, unknown>

/** What happens to the next commit. */
export type Fault =
  | 'is lost before it arrives'
  | 'is applied, and its answer is lost'
  | 'is applied, and answered by 500'
  | 'is answered by 502'
  | 'is answered by 503, with a time to wait'
  | 'is answered by 429, with a time to wait'
  | 'is applied, and delivered again'
  | 'arrives late'
  | 'is answered with something that is no JSON'

export const RETRY_AFTER_MS = 7_000
const ROOT = 's3://lake/warehouse/cdc/events-1'

/** That of the stand-in, of which a process has one at a time. */
let bucket: R2Bucket

class Refusal extends Error {
  readonly status: number
  readonly type: string

  constructor(status: number, type: string, message: string) {
    super(message)
    this.status = status
    this.type = type
  }
}

export class StandIn {
  token = 'the right token'
  readonly warehouse = 'account_lake'
  /** Of the paths of the warehouse. */
  prefix = 'p1'
  /** How a lost race is answered: 409 as the specification has it, or 400 as Basin Catalog does. */
  raceStatus = 409
  /** Whether its files are not in the bucket. */
  isElsewhere = false
  fault: Fault | undefined
  /** Called before each commit is looked at: what somebody else does just then. */
  before: (() => Promise<void>) | undefined
  /** The path of each request. */
  requests: string[] = []
  /** Requests that came too early after a 429. */
  tooEarly = 0
  tokens = 0
  /** Where it sends its clients, if anywhere. */
  redirect: string | undefined
  #metadata: TableMetadata | undefined
  #version = 0
  #late: string | undefined
  #isBusy = false
  readonly #name = crypto.randomUUID()

  constructor(itsBucket: R2Bucket) {
    bucket = itsBucket
  }

  readonly binding = {
    fetch: async (input: RequestInfo | URL, init?: RequestInit) => this.#answer(new Request(input, init)),
  } as unknown as Fetcher

  get hasTable(): boolean {
    return this.#metadata !== undefined
  }

  get metadata(): TableMetadata {
    if (this.#metadata === undefined) throw new Error('the stand-in has no table yet')
    return this.#metadata
  }

  get key(): string {
    return `warehouse/cdc/events-1/metadata/${String(this.#version).padStart(5, '0')}-${this.#name}.metadata.json`
  }

  /** Lets a commit arrive that was thought to be lost. */
  async deliverLate(): Promise<number> {
    const body = this.#late ?? '{}'
    this.#late = undefined
    return this.#commit(body).then(
      () => 200,
      (error: unknown) => (error instanceof Refusal ? error.status : 500),
    )
  }

  async #answer(request: Request): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url)
    this.requests.push(`${request.method} ${pathname}`)
    // A client that follows redirects would be there by itself.
    if (this.redirect !== undefined && request.redirect === 'manual')
      return new Response(null, { status: 307, headers: { location: this.redirect } })
    try {
      if (pathname === '/iceberg/v1/oauth/tokens') return await this.#giveToken(request)
      if (request.headers.get('authorization') !== `Bearer ${this.token}`)
        throw new Refusal(401, 'NotAuthorizedException', 'the token is not the right one')
      if (pathname === '/iceberg/v1/config') {
        if (searchParams.get('warehouse') !== this.warehouse)
          throw new Refusal(404, 'NotFoundException', 'there is no such warehouse')
        return respond({ defaults: {}, overrides: this.prefix === '' ? {} : { prefix: this.prefix } })
      }
      return await this.#route(request, pathname)
    } catch (error) {
      if (error instanceof Refusal) return refuse(error)
      throw error
    }
  }

  async #giveToken(request: Request): Promise<Response> {
    const form = new URLSearchParams(await request.text())
    if (form.get('client_id') !== 'lake' || form.get('client_secret') !== 'se:cret')
      return Response.json({ error: 'invalid_client' }, { status: 401 })
    this.tokens += 1
    return Response.json({ access_token: this.token, token_type: 'bearer', expires_in: 3_600 })
  }

  async #route(request: Request, pathname: string): Promise<Response> {
    const namespaces = ['/iceberg/v1', ...(this.prefix === '' ? [] : [this.prefix]), 'namespaces'].join('/')
    const tables = `${namespaces}/cdc/tables`
    switch (`${request.method} ${pathname}`) {
      case `POST ${namespaces}`:
        this.#hasNamespace = true
        return respond(await request.json())
      case `POST ${tables}`:
        return this.#create(await request.json())
      case `GET ${tables}/events`:
        if (!this.#hasNamespace) throw new Refusal(404, 'NoSuchNamespaceException', 'there is no namespace cdc')
        if (this.#metadata === undefined) throw new Refusal(404, 'NoSuchTableException', 'there is no table cdc.events')
        return this.#result()
      case `POST ${tables}/events`:
        return this.#commitOrFail(await request.text())
      default:
        throw new Refusal(404, 'NotFoundException', `there is no route ${pathname}`)
    }
  }

  #hasNamespace = false

  /** Creates the table before the lake does: with some of its columns in another order, one more, and no partitions. */
  async createByOthers(): Promise<void> {
    this.#hasNamespace = true
    const columns = EVENTS_COLUMNS.filter(({ name }) => !['visibility', '__ingest_ts'].includes(name)).toReversed()
    const more = { name: 'score', type: 'double', required: false }
    await this.#create({
      name: 'events',
      schema: { type: 'struct', fields: [more, ...columns] },
      'partition-spec': { 'spec-id': 0, fields: [] },
      properties: {},
    })
  }

  async #create(body: JSONObject): Promise<Response> {
    if (!this.#hasNamespace) throw new Refusal(404, 'NoSuchNamespaceException', 'there is no namespace cdc')
    if (this.#metadata !== undefined) throw new Refusal(409, 'AlreadyExistsException', 'there is one')
    const {
      name,
      schema,
      'partition-spec': spec,
      properties,
      ...others
    } = body as JSONObject & {
      schema: TableMetadata['schemas'][number]
      'partition-spec': TableMetadata['partition-specs'][number]
      properties: Record<string, string>
    }
    require(name === 'events' && Object.keys(others).length === 0, 'no field is unknown')
    checkProperties(properties)
    await this.#store({
      'format-version': 2,
      'table-uuid': crypto.randomUUID(),
      location: ROOT,
      'last-sequence-number': 0,
      'last-updated-ms': Date.now(),
      'last-column-id': schema.fields.length,
      // A catalog gives its own ids to what it creates.
      schemas: [
        { ...schema, 'schema-id': 0, fields: schema.fields.map((field, index) => ({ ...field, id: index + 1 })) },
      ],
      'current-schema-id': 0,
      'partition-specs': [spec],
      'default-spec-id': 0,
      'last-partition-id': 999 + spec.fields.length,
      'sort-orders': [{ 'order-id': 0, fields: [] }],
      'default-sort-order-id': 0,
      properties,
      refs: {},
      snapshots: [],
      statistics: [],
      'partition-statistics': [],
      'snapshot-log': [],
      'metadata-log': [],
    })
    return this.#result()
  }

  async #commitOrFail(body: string): Promise<Response> {
    if (this.#isBusy) this.tooEarly += 1
    const { fault, before } = this
    this.fault = undefined
    this.before = undefined
    await before?.()
    switch (fault) {
      case 'is lost before it arrives':
        throw new Error('Network connection lost')
      case 'is applied, and its answer is lost':
        await this.#commit(body)
        throw new Error('Network connection lost')
      case 'is applied, and answered by 500':
        await this.#commit(body)
        throw new Refusal(500, 'CommitStateUnknownException', 'who knows')
      case 'is answered by 502':
        return new Response('<html>bad gateway', { status: 502, headers: { 'content-type': 'text/html' } })
      case 'is answered by 503, with a time to wait':
        return refuse(new Refusal(503, 'ServiceUnavailableException', 'busy'), RETRY_AFTER_MS)
      case 'is answered by 429, with a time to wait':
        return refuse(new Refusal(429, 'TooManyRequestsException', 'slow down'), RETRY_AFTER_MS)
      case 'is applied, and delivered again':
        await this.#commit(body)
        break
      case 'arrives late':
        this.#late = body
        throw new Error('The operation timed out')
      case 'is answered with something that is no JSON':
        await this.#commit(body)
        return new Response('ok', { headers: { 'content-type': 'text/plain' } })
      case undefined:
        break
    }
    await this.#commit(body)
    return this.#result()
  }

  async #commit(body: string): Promise<void> {
    const { requirements, updates, ...others } = parse(body) as { requirements: JSONObject[]; updates: JSONObject[] }
    require(Object.keys(others).length === 0, 'no field is unknown')
    for (const requirement of requirements) this.#checkRequirement(requirement)
    require(['assert-table-uuid', 'assert-ref-snapshot-id'].every((type) =>
      requirements.some((each) => each['type'] === type),
    ), 'the lake always requires both')
    let next = this.metadata
    for (const update of updates) next = await applied(next, update)
    await this.#store(next)
  }

  #checkRequirement({ type, ...given }: JSONObject): void {
    const { metadata } = this
    const asserted: Record<string, JSONObject> = {
      'assert-table-uuid': { uuid: metadata['table-uuid'] },
      'assert-ref-snapshot-id': { ref: 'main', 'snapshot-id': metadata.refs['main']?.['snapshot-id'] ?? null },
      'assert-last-assigned-field-id': { 'last-assigned-field-id': metadata['last-column-id'] },
      'assert-current-schema-id': { 'current-schema-id': metadata['current-schema-id'] },
      'assert-default-spec-id': { 'default-spec-id': metadata['default-spec-id'] },
      'assert-last-assigned-partition-id': { 'last-assigned-partition-id': metadata['last-partition-id'] },
    }
    const actual = asserted[String(type)]
    require(actual !== undefined, `the requirement ${String(type)} is known`)
    if (stringify(given) === stringify(actual)) return
    throw this.raceStatus === 400
      ? new Refusal(400, 'ConcurrentUpdateError', `${String(type)} does not hold`)
      : new Refusal(409, 'CommitFailedException', `Requirement failed: ${String(type)}`)
  }

  async #store(metadata: TableMetadata): Promise<void> {
    this.#version += 1
    this.#metadata = { ...metadata, 'last-updated-ms': Math.max(metadata['last-updated-ms'], Date.now()) }
    if (!this.isElsewhere) await bucket.put(this.key, stringify(this.#metadata))
  }

  #result(): Response {
    return respond({ 'metadata-location': `s3://lake/${this.key}`, metadata: this.metadata, config: {} })
  }

  /** Says to the stand-in whether its wish to be left alone is still in force. */
  set isBusy(isBusy: boolean) {
    this.#isBusy = isBusy
  }

  // What others do.

  /** Notes a commit of another lake. */
  async commitAsLake(snapshotId: string): Promise<void> {
    const { metadata } = this
    await this.#store({ ...metadata, properties: { ...metadata.properties, 'cdc.snapshot-id': snapshotId } })
    await this.compact()
  }

  /** Drops the table, and makes another. */
  async recreate(): Promise<void> {
    await this.#store({ ...this.metadata, 'table-uuid': crypto.randomUUID() })
    await this.compact()
  }

  /** Stores all rows in one file for each partition, as a snapshot whose id has 63 bits. */
  async compact(): Promise<void> {
    const table = await this.table()
    const removed = await this.files()
    const rows: Row[] = []
    for (const { key } of removed) rows.push(...(await readRows(key)))
    await this.#commitForeign(
      table,
      prepareRewrite(table, { manifests: table.manifests, kept: [], removed, rows }, options()),
    )
  }

  /** Deletes all rows of one data file. */
  async deleteOneFile(): Promise<ListedFile> {
    const table = await this.table()
    const [first, ...kept] = await this.files()
    if (first === undefined) throw new Error('there is no file')
    await this.#commitForeign(
      table,
      prepareRemoval(table, { manifests: table.manifests, kept, removed: [first] }, options()),
    )
    return first
  }

  /** Keeps the newest snapshot only, and deletes what only the others have read. */
  async expire(): Promise<void> {
    const { metadata } = this
    const current = currentSnapshot(metadata)
    if (current === undefined) return
    const expired = metadata.snapshots.filter((snapshot) => snapshot !== current)
    await this.#store({
      ...metadata,
      snapshots: [current],
      'snapshot-log': metadata['snapshot-log'].filter((entry) => entry['snapshot-id'] === current['snapshot-id']),
    })
    const live = await this.#reachable(current)
    for (const snapshot of expired)
      for (const key of await this.#reachable(snapshot)) if (!live.has(key)) await bucket.delete(keyOf(key))
  }

  /** The files that a snapshot reads, as far as they are there. */
  async #reachable({ 'manifest-list': path }: TableMetadata['snapshots'][number]): Promise<Set<string>> {
    const manifests = await this.#readList(path).catch(() => [])
    const keys = new Set([keyBelow(ROOT, path)])
    for (const manifest of manifests) {
      keys.add(keyBelow(ROOT, manifest.manifest_path))
      for (const { key } of await this.#readFiles(manifest).catch(() => [])) keys.add(key)
    }
    return keys
  }

  /** Makes an older snapshot the current one, the first that is remembered with so many rows. */
  async rollBackTo(rows: number): Promise<void> {
    const { metadata } = this
    const snapshot = metadata.snapshots.find((each) => each.summary['total-records'] === String(rows))
    require(snapshot !== undefined, 'there is such a snapshot')
    const id = snapshot['snapshot-id']
    await this.#store({
      ...metadata,
      'current-snapshot-id': id,
      refs: { ...metadata.refs, main: { 'snapshot-id': id, type: 'branch' } },
    })
  }

  /** Gives the current snapshot a name. */
  async tag(name: string): Promise<void> {
    const { metadata } = this
    const id = metadata['current-snapshot-id'] ?? 0
    await this.#store({ ...metadata, refs: { ...metadata.refs, [name]: { 'snapshot-id': id, type: 'tag' } } })
  }

  /** Deletes rows by a file that hides them, which is only listed here. */
  async hideRows(): Promise<string> {
    const table = await this.table()
    const prepared = prepareRewrite(table, { manifests: [], kept: [], removed: [], rows: [] }, options())
    const key = `metadata/${crypto.randomUUID()}-deletes.avro`
    const path = `${ROOT}/${key}`
    const [template] = table.manifests
    require(template !== undefined, 'there is a manifest')
    const hiding = {
      ...template,
      manifest_path: path,
      content: 1 as const,
      added_files_count: 1,
      added_rows_count: 1,
      sequence_number: prepared.metadata['last-sequence-number'],
      added_snapshot_id: prepared.metadata['current-snapshot-id'] ?? 0,
    }
    const snapshot = prepared.metadata.snapshots.at(-1)
    const list = writeManifestList([hiding, ...table.manifests], {
      snapshotId: 1,
      parentSnapshotId: undefined,
      sequenceNumber: snapshot?.['sequence-number'] ?? 0,
      sync: new Uint8Array(16),
    })
    const listKey = keyBelow(ROOT, snapshot?.['manifest-list'] ?? '')
    const files = [
      ...prepared.files.filter((file) => file.key !== listKey),
      { key: listKey, bytes: list },
      { key, bytes: list },
    ]
    await this.#commitForeign(table, { ...prepared, files })
    return path
  }

  /** Adds a column, of a type that the lake does not write. */
  async addColumn(name: string): Promise<void> {
    const { metadata } = this
    const schema = metadata.schemas.find((each) => each['schema-id'] === metadata['current-schema-id'])
    const id = metadata['last-column-id'] + 1
    const field = {
      id,
      name,
      type: 'double',
      required: false,
    } as unknown as TableMetadata['schemas'][number]['fields'][number]
    const added = {
      type: 'struct' as const,
      fields: [...(schema?.fields ?? []), field],
      'schema-id': metadata.schemas.length,
    }
    await this.#store({
      ...metadata,
      schemas: [...metadata.schemas, added],
      'current-schema-id': added['schema-id'],
      'last-column-id': id,
    })
  }

  async changeType(name: string, type: string): Promise<void> {
    const { metadata } = this
    const { fields = [], ...schema } = metadata.schemas.at(-1) ?? {}
    const changed = fields.map((field) => (field.name === name ? { ...field, type } : field))
    const id = metadata.schemas.length
    await this.#store({
      ...metadata,
      schemas: [
        ...metadata.schemas,
        { ...schema, fields: changed, 'schema-id': id } as (typeof metadata.schemas)[number],
      ],
      'current-schema-id': id,
    })
  }

  /** Makes another partition spec the default, with a transform that the lake does not know. */
  async changePartitions(): Promise<void> {
    const { metadata } = this
    const field = { 'source-id': 4, 'field-id': 1002, name: 'ns_bucket', transform: 'bucket[16]' }
    const spec = { 'spec-id': 1, fields: [field] } as unknown as TableMetadata['partition-specs'][number]
    await this.#store({
      ...metadata,
      'partition-specs': [...metadata['partition-specs'], spec],
      'default-spec-id': 1,
      'last-partition-id': 1002,
    })
  }

  async #commitForeign(base: Table, { files, metadata }: ReturnType<typeof prepareRewrite>): Promise<void> {
    for (const { key, bytes } of files) await bucket.put(keyOf(key), bytes)
    const id = String((1n << 62n) + BigInt(metadata['current-snapshot-id'] ?? 0))
    const snapshot = { ...metadata.snapshots.at(-1), 'snapshot-id': id } as TableMetadata['snapshots'][number]
    await this.#store({
      ...metadata,
      snapshots: [...base.metadata.snapshots, snapshot],
      'current-snapshot-id': id,
      refs: { ...metadata.refs, main: { 'snapshot-id': id, type: 'branch' } },
      'snapshot-log': [
        ...base.metadata['snapshot-log'],
        { 'snapshot-id': id, 'timestamp-ms': snapshot['timestamp-ms'] },
      ],
    })
  }

  // What a reader finds.

  async table(): Promise<Table> {
    const { metadata } = this
    const snapshot = currentSnapshot(metadata)
    const manifests = snapshot === undefined ? [] : await this.#readList(snapshot['manifest-list'])
    return { metadata, manifests }
  }

  async #readList(path: string): Promise<ManifestFile[]> {
    return readManifestList(path, await readFile(keyBelow(ROOT, path)))
  }

  /** The data files of the current snapshot. */
  async files(): Promise<ListedFile[]> {
    const { manifests } = await this.table()
    const files: ListedFile[] = []
    for (const manifest of manifests.filter(({ content }) => content === 0))
      files.push(...(await this.#readFiles(manifest)))
    return files
  }

  async #readFiles(manifest: ManifestFile): Promise<ListedFile[]> {
    return readManifest(await readFile(keyBelow(ROOT, manifest.manifest_path)), manifest, this.metadata)
  }

  async rows(): Promise<Row[]> {
    const rows: Row[] = []
    for (const { key } of await this.files()) rows.push(...(await readRows(key)))
    return rows
  }
}

async function applied(metadata: TableMetadata, { action, ...given }: JSONObject): Promise<TableMetadata> {
  switch (action) {
    case 'add-schema': {
      const schema = given['schema'] as TableMetadata['schemas'][number]
      const id = Math.max(...metadata.schemas.map((each) => each['schema-id'])) + 1
      const lastId = Math.max(metadata['last-column-id'], ...schema.fields.map((field) => field.id))
      return { ...metadata, schemas: [...metadata.schemas, { ...schema, 'schema-id': id }], 'last-column-id': lastId }
    }
    case 'set-current-schema':
      require(given['schema-id'] === -1, 'the last schema that was added becomes the current one')
      return { ...metadata, 'current-schema-id': metadata.schemas.at(-1)?.['schema-id'] ?? 0 }
    case 'add-spec': {
      const spec = given['spec'] as TableMetadata['partition-specs'][number]
      require(spec['spec-id'] ===
        Math.max(...metadata['partition-specs'].map((each) => each['spec-id'])) + 1, 'it is the next')
      return { ...metadata, 'partition-specs': [...metadata['partition-specs'], spec] }
    }
    case 'add-snapshot':
      return withAddedSnapshot(metadata, given['snapshot'] as TableMetadata['snapshots'][number])
    case 'set-snapshot-ref': {
      const { 'ref-name': name, 'snapshot-id': id, type } = given
      require(name === 'main' && type === 'branch', 'only the branch main is moved')
      const snapshot = metadata.snapshots.find((each) => each['snapshot-id'] === id)
      require(snapshot !== undefined, 'the snapshot exists')
      return {
        ...metadata,
        refs: { ...metadata.refs, main: { 'snapshot-id': snapshot['snapshot-id'], type } },
        'current-snapshot-id': snapshot['snapshot-id'],
        'snapshot-log': [
          ...metadata['snapshot-log'],
          { 'snapshot-id': snapshot['snapshot-id'], 'timestamp-ms': snapshot['timestamp-ms'] },
        ],
      }
    }
    case 'set-properties': {
      const updates = given['updates'] as Record<string, string>
      checkProperties(updates)
      return { ...metadata, properties: { ...metadata.properties, ...updates } }
    }
    case 'remove-snapshots': {
      const ids = given['snapshot-ids'] as unknown[]
      const named = Object.values(metadata.refs).map((ref) => ref['snapshot-id'])
      require(!named.some((id) => ids.includes(id)), 'no ref names one')
      return {
        ...metadata,
        snapshots: metadata.snapshots.filter((each) => !ids.includes(each['snapshot-id'])),
        'snapshot-log': metadata['snapshot-log'].filter((each) => !ids.includes(each['snapshot-id'])),
      }
    }
    default:
      throw new Refusal(400, 'BadRequestException', `unknown update ${String(action)}`)
  }
}

async function withAddedSnapshot(
  metadata: TableMetadata,
  snapshot: TableMetadata['snapshots'][number],
): Promise<TableMetadata> {
  const { 'snapshot-id': id, 'parent-snapshot-id': parent, 'sequence-number': sequence } = snapshot
  require(typeof id === 'number' && !metadata.snapshots.some((each) => each['snapshot-id'] === id), 'its id is new')
  require(parent === metadata['current-snapshot-id'], 'its parent is the current snapshot')
  require(sequence === metadata['last-sequence-number'] + 1, 'its sequence number is the next')
  require(snapshot['timestamp-ms'] >= metadata['last-updated-ms'] - 60_000, 'its time is not before the last change')
  require(metadata.schemas.some((each) => each['schema-id'] === snapshot['schema-id']), 'its schema exists')
  require(Object.values(snapshot.summary).every((value) => typeof value === 'string'), 'its summary has strings')
  const listed = readManifestList('its list', await readFile(keyBelow(ROOT, snapshot['manifest-list'])))
  for (const { manifest_path, partition_spec_id } of listed) {
    require((await bucket.head(keyOf(keyBelow(ROOT, manifest_path)))) !== null, 'its manifests are stored')
    require(metadata['partition-specs'].some((spec) => spec['spec-id'] === partition_spec_id), 'their specs exist')
  }
  return {
    ...metadata,
    snapshots: [...metadata.snapshots, snapshot],
    'last-sequence-number': sequence,
    'last-updated-ms': snapshot['timestamp-ms'],
  }
}

/** As Basin Catalog does. */
function checkProperties(properties: Record<string, string>): void {
  const blocked = Object.keys(properties).find((name) => /^write\.(metadata|data\.path)/.test(name))
  require(blocked === undefined, `the property ${blocked} is not blocked`)
}

function require(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Refusal(400, 'BadRequestException', `it is required that ${what}`)
}

function options(): CommitOptions {
  return {
    summary: {},
    nowMs: Date.now(),
    uuid: () => crypto.randomUUID(),
    snapshotId: Math.ceil(Math.random() * 2 ** 50),
  }
}

function keyOf(key: string): string {
  return `${ROOT.replace('s3://lake/', '')}/${key}`
}

async function readFile(key: string): Promise<Uint8Array> {
  const object = await bucket.get(keyOf(key))
  if (object === null) throw new Error(`${key} is not in the bucket`)
  return new Uint8Array(await object.arrayBuffer())
}

async function readRows(key: string): Promise<Row[]> {
  const { buffer } = await readFile(key)
  return readParquet(buffer as ArrayBuffer)
}

function refuse({ status, type, message }: Refusal, retryAfterMs?: number): Response {
  const headers = { ...(retryAfterMs !== undefined && { 'retry-after': String(retryAfterMs / 1_000) }) }
  return Response.json({ error: { message, type, code: status } }, { status, headers })
}

function respond(value: unknown): Response {
  return new Response(stringify(value), { headers: { 'content-type': 'application/json' } })
}

/** In JSON ids are numbers, in here what exceeds 53 bits is text: not the lake's own code for it, which is tested by this. */
function stringify(value: unknown): string {
  return JSON.stringify(value, (key, each: unknown) =>
    key.endsWith('snapshot-id') && !key.startsWith('cdc.') && typeof each === 'string' ? { long: each } : each,
  ).replaceAll(/\{"long":"(\d+)"\}/g, '$1')
}

function parse(text: string): unknown {
  return JSON.parse(text.replaceAll(/(?<=[:[,])\d{17,}(?=[,}\]])/g, '"$&"'))
}
