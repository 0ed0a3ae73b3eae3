// A strict stand-in for the part of Cloudflare's REST API that `provision` reaches through wrangler: what it does not
// know it answers with 404 and remembers, bodies are checked, duplicates are refused, and SQL is prepared against the
// stream's own columns. Paths and bodies are those of wrangler 4.164.0; error codes are those that it tells apart.

import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { DatabaseSync } from 'node:sqlite'
import { text } from 'node:stream/consumers'
import * as z from 'zod'

export const ACCOUNT = '0123456789abcdef0123456789abcdef'
const API_TOKEN = 'the-token-of-the-account'
export const CATALOG_TOKEN = 'the-token-of-the-catalog'

const nameShape = z.string().regex(/^[a-zA-Z0-9_]+$/)

const fieldShape = z
  .strictObject({
    name: nameShape,
    type: z.enum(['string', 'int32', 'int64', 'float32', 'float64', 'bool', 'timestamp', 'json', 'bytes']),
    unit: z.enum(['second', 'millisecond', 'microsecond', 'nanosecond']).optional(),
    required: z.boolean(),
  })
  .refine((field) => (field.unit !== undefined) === (field.type === 'timestamp'), 'a timestamp has a unit, others none')

const streamShape = z.strictObject({
  name: nameShape,
  format: z.strictObject({ type: z.literal('json') }),
  http: z.strictObject({ enabled: z.boolean(), authentication: z.literal(true) }),
  worker_binding: z.strictObject({ enabled: z.literal(true) }),
  schema: z.strictObject({ fields: z.array(fieldShape).min(1) }),
})

const sinkShape = z.strictObject({
  name: nameShape,
  type: z.literal('r2_data_catalog'),
  format: z.strictObject({ type: z.literal('parquet'), compression: z.literal('zstd') }),
  config: z.strictObject({
    bucket: z.string(),
    namespace: nameShape,
    table_name: nameShape,
    token: z.literal(CATALOG_TOKEN),
    rolling_policy: z.strictObject({ interval_seconds: z.number().min(60) }),
  }),
})

const secretShape = z.strictObject({ name: z.string(), text: z.literal(CATALOG_TOKEN), type: z.literal('secret_text') })

const pipelineShape = z.strictObject({ name: nameShape, sql: z.string().min(1) })

type Stream = z.infer<typeof streamShape> & { id: string }
type Sink = z.infer<typeof sinkShape> & { id: string }
type Pipeline = z.infer<typeof pipelineShape> & { id: string }

/** What goes wrong with a request: it gets this status, or it is done and its answer is lost. */
export type Fault = (call: string) => number | 'answer lost' | undefined

class APIRefusal extends Error {
  readonly status: number
  readonly code: number

  constructor(status: number, code: number, message: string) {
    super(message)
    this.status = status
    this.code = code
  }
}

export class FakeAccount {
  /** By name; in a jurisdiction as `<jurisdiction>/<name>`. */
  readonly buckets = new Set<string>()
  readonly catalogs = new Set<string>()
  readonly tables = new Set<string>()
  readonly streams: Stream[] = []
  readonly sinks: Sink[] = []
  readonly pipelines: Pipeline[] = []
  /** The secrets of each Worker. */
  readonly workers = new Map<string, Map<string, string>>()
  /** What changed something, as `POST /path`, whether it succeeded or not. */
  readonly writes: string[] = []
  /** What wrangler asked for that is not known here. */
  readonly unknown: string[] = []
  fault: Fault = () => undefined
  readonly #server = createServer((request, response) => void this.#serve(request, response))

  /** The environment in which wrangler talks to this account. */
  async listen(): Promise<Record<string, string>> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('the server has no port')
    return {
      CLOUDFLARE_API_BASE_URL: `http://127.0.0.1:${address.port}`,
      CLOUDFLARE_API_TOKEN: API_TOKEN,
      CLOUDFLARE_ACCOUNT_ID: ACCOUNT,
    }
  }

  close(): void {
    this.#server.close()
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', headers } = request
    const url = new URL(request.url ?? '', 'http://localhost')
    const body = await text(request)
    const path = url.pathname.replace(`/accounts/${ACCOUNT}`, '')
    const call = `${method} ${path}`
    if (method !== 'GET' && path !== '/graphql' && !path.endsWith('/validate_sql')) this.writes.push(call)
    const fault = this.fault(call)
    try {
      if (typeof fault === 'number') throw new APIRefusal(fault, 10_001, 'something is wrong here')
      if (headers.authorization !== `Bearer ${API_TOKEN}`) throw new APIRefusal(403, 10_000, 'Authentication error')
      const isJSON = headers['content-type']?.startsWith('application/json') ?? false
      const jurisdiction = headers['cf-r2-jurisdiction'] ?? 'default'
      const prefix = jurisdiction === 'default' ? '' : `${String(jurisdiction)}/`
      const result =
        this.#answerAboutBuckets(call, prefix, body) ??
        this.#answerAboutWorkers(call, isJSON ? JSON.parse(body) : body) ??
        this.#answer(call, url.searchParams, isJSON ? JSON.parse(body) : undefined)
      if (fault === 'answer lost') response.destroy()
      // GraphQL has an envelope of its own.
      else respond(response, 200, path === '/graphql' ? result : { success: true, errors: [], messages: [], result })
    } catch (error) {
      const refusal = error instanceof APIRefusal ? error : new APIRefusal(400, 1001, String(error))
      const { status, code, message } = refusal
      respond(response, status, { success: false, errors: [{ code, message }], messages: [], result: null })
    }
  }

  #answer(call: string, query: URLSearchParams, body: unknown): unknown {
    const [, kind = '', id = ''] = /^GET \/pipelines\/v1\/(streams|sinks|pipelines)(?:\/(.*))?$/.exec(call) ?? []
    if (id !== '') return this.#get(kind, id)
    if (kind !== '') return this.#list(kind, query)
    switch (call) {
      case 'POST /pipelines/v1/streams':
        return this.#createStream(streamShape.parse(body))
      case 'POST /pipelines/v1/sinks':
        return this.#createSink(sinkShape.parse(body))
      case 'POST /pipelines/v1/validate_sql':
        return this.#validate(z.strictObject({ sql: z.string() }).parse(body).sql)
      case 'POST /pipelines/v1/pipelines':
        return this.#createPipeline(pipelineShape.parse(body))
      case 'POST /graphql':
        return { data: { viewer: { accounts: [] } } }
      case 'GET /user/tokens/verify':
        return { id: 'token', status: 'active' }
    }
    return this.#answerByName(call)
  }

  #answerAboutBuckets(call: string, prefix: string, body: string): unknown {
    if (call === 'POST /r2/buckets')
      return this.#createBucket(prefix + z.strictObject({ name: z.string() }).parse(JSON.parse(body)).name)
    const bucket = /^GET \/r2\/buckets\/([^/]+)$/.exec(call)?.[1]
    return bucket === undefined ? undefined : this.#getBucket(prefix + bucket)
  }

  #answerAboutWorkers(call: string, body: unknown): unknown {
    const [, method = '', worker = '', secrets = ''] =
      /^(GET|PUT) \/workers\/scripts\/([^/]+)(\/secrets)?$/.exec(call) ?? []
    if (method === '') return undefined
    if (secrets === '') return this.#uploadWorker(method, worker, body)
    const there = this.workers.get(worker)
    if (there === undefined) throw new APIRefusal(404, 10_007, 'This Worker does not exist on your account.')
    if (method === 'PUT') {
      const { name, text: value } = secretShape.parse(body)
      there.set(name, value)
    }
    return [...there.keys()].map((name) => ({ name, type: 'secret_text' }))
  }

  /** Takes the Worker that does nothing, which wrangler creates for a first secret. */
  #uploadWorker(method: string, worker: string, body: unknown): unknown {
    z.literal('PUT').parse(method)
    z.string().includes('export default { fetch() {} }').parse(body)
    this.workers.set(worker, new Map())
    return { id: worker }
  }

  #answerByName(call: string): unknown {
    const catalog = /^GET \/r2-catalog\/([^/]+)$/.exec(call)?.[1]
    if (catalog !== undefined) return this.#getCatalog(catalog)
    const enabled = /^POST \/r2-catalog\/([^/]+)\/enable$/.exec(call)?.[1]
    if (enabled !== undefined) return this.#enableCatalog(enabled)
    // wrangler looks for a pipeline among those of the old product, too.
    if (/^GET \/pipelines\/[^/]+$/.test(call)) throw new APIRefusal(404, 1000, 'pipeline_not_exist')
    this.unknown.push(call)
    throw new APIRefusal(404, 7003, 'Could not route to the path')
  }

  #getBucket(name: string) {
    if (!this.buckets.has(name)) throw new APIRefusal(404, 10_006, 'The specified bucket does not exist.')
    return { name, creation_date: '2026-11-22T00:00:00.000Z', location: 'WEUR', storage_class: 'Standard' }
  }

  #createBucket(name: string) {
    if (this.buckets.has(name)) throw new APIRefusal(409, 10_004, 'The bucket you tried to create already exists.')
    this.buckets.add(name)
    return { name }
  }

  #getCatalog(bucket: string) {
    this.#getBucket(bucket)
    if (!this.catalogs.has(bucket)) throw new APIRefusal(404, 40_401, 'Catalog is not enabled')
    return { id: randomUUID(), name: `${ACCOUNT}_${bucket}`, bucket, status: 'active' }
  }

  #enableCatalog(bucket: string) {
    this.#getBucket(bucket)
    if (this.catalogs.has(bucket)) throw new APIRefusal(409, 40_901, 'Catalog is enabled already')
    this.catalogs.add(bucket)
    return { id: randomUUID(), name: `${ACCOUNT}_${bucket}` }
  }

  #createStream(stream: z.infer<typeof streamShape>) {
    refuseDuplicate(this.streams, stream.name)
    const created = { ...stream, id: newId() }
    this.streams.push(created)
    return shownStream(created)
  }

  #createSink(sink: z.infer<typeof sinkShape>) {
    const { bucket, namespace, table_name: table } = sink.config
    refuseDuplicate(this.sinks, sink.name)
    if (!this.catalogs.has(bucket)) throw new APIRefusal(400, 1013, `bucket ${bucket} has no catalog`)
    const path = `${bucket}/${namespace}.${table}`
    if (this.tables.has(path)) throw new APIRefusal(400, 1014, `table ${namespace}.${table} already exists`)
    this.tables.add(path)
    const created = { ...sink, id: newId() }
    this.sinks.push(created)
    return shownSink(created)
  }

  #createPipeline(pipeline: z.infer<typeof pipelineShape>) {
    refuseDuplicate(this.pipelines, pipeline.name)
    this.#validate(pipeline.sql)
    const created = { ...pipeline, id: newId() }
    this.pipelines.push(created)
    return this.#shownPipeline(created)
  }

  /** Takes `INSERT INTO <sink> SELECT … FROM <stream>`, and lets SQLite look at the SELECT. */
  #validate(sql: string) {
    const statement = sql.replaceAll(/--.*$/gm, '').trim()
    const [, sinkName, select, streamName] =
      /^INSERT INTO (\w+)\s+(SELECT\b.*\bFROM (\w+)\b[^;]*)$/s.exec(statement) ?? []
    const sink = this.sinks.find(({ name }) => name === sinkName)
    const stream = this.streams.find(({ name }) => name === streamName)
    if (sink === undefined) throw new APIRefusal(400, 1002, `table '${sinkName}' not found`)
    if (stream === undefined) throw new APIRefusal(400, 1002, `table '${streamName}' not found`)
    const columns = stream.schema.fields.map(({ name }) => `"${name}"`).join(', ')
    const database = new DatabaseSync(':memory:')
    database.exec(`CREATE TABLE ${stream.name} (${columns})`)
    database.prepare(select ?? '')
    database.close()
    return { tables: { [sink.name]: { id: sink.id, type: 'sink' }, [stream.name]: { id: stream.id, type: 'stream' } } }
  }

  #get(kind: string, id: string) {
    const shown = this.#shown(kind).find((each) => each.id === id)
    const code = { streams: 1016, sinks: 1015 }[kind] ?? 1000
    if (shown === undefined) throw new APIRefusal(404, code, `${kind} ${id} does not exist`)
    return shown
  }

  #list(kind: string, query: URLSearchParams) {
    const page = Number(query.get('page') ?? 1)
    const perPage = Number(query.get('per_page') ?? 20)
    return this.#shown(kind)
      .filter(({ name }) => name.includes(query.get('name') ?? ''))
      .slice((page - 1) * perPage, page * perPage)
  }

  #shown(kind: string): { id: string; name: string }[] {
    if (kind === 'streams') return this.streams.map(shownStream)
    if (kind === 'sinks') return this.sinks.map(shownSink)
    return this.pipelines.map((pipeline) => this.#shownPipeline(pipeline))
  }

  #shownPipeline(pipeline: Pipeline) {
    return { ...pipeline, ...TIMES, status: 'running', failure_reason: null, tables: [] }
  }
}

const TIMES = { created_at: '2026-11-22T00:00:00Z', modified_at: '2026-11-22T00:00:00Z' }

/** The account answers with more than it was given. */
function shownStream(stream: Stream) {
  const fields = stream.schema.fields.map((field) => ({ ...field, metadata_key: null, sql_name: field.name }))
  const endpoint = `https://${stream.id}.ingest.cloudflare.com`
  return { ...stream, ...TIMES, version: 1, endpoint, schema: { fields, format: stream.format, inferred: null } }
}

function shownSink({ config: { token: _token, ...config }, ...sink }: Sink) {
  return { ...sink, ...TIMES, config, schema: null }
}

function refuseDuplicate(existing: readonly { name: string }[], name: string): void {
  if (existing.some((each) => each.name === name)) throw new APIRefusal(409, 1003, `the name ${name} is taken`)
}

function newId(): string {
  return randomUUID().replaceAll('-', '')
}

function respond(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}
