// A running Worker as the command reaches it: its outboxes over `outboxRoutes`, and its lake over `lakeRoutes`.

import * as z from 'zod'
import type { OutboxCalls } from '../admin/index.ts'
import type { LogRanges, RepairOutcome } from '../lake/upkeep/repair.ts'
import { checkAddress, checkToken } from './address.ts'
import { type IO, problemOf, usage } from './command.ts'
import { get, openStream, post } from './http.ts'
import {
  CONFIG_OPTIONS,
  type ConfigOptions,
  devAddress,
  environmentOf,
  findWranglerConfig,
  lookForConfig,
  readProject,
} from './wrangler-config.ts'

/** Where a Worker mounts the routes. */
const OUTBOXES = '/admin/outbox'
const FLEET = '/admin/fleet'
const TAILS = '/tail'
const LAKE = '/lake'
const REPAIR = `${LAKE}/repair`
const RECOVER = `${LAKE}/recover`

/** A flush takes up to a minute, and its last batch may wait for its answer. */
const CALL_MS = 120_000
const STATUS_MS = 30_000
/** The lake reads its whole table for a repair. */
const REPAIR_MS = 600_000

/** The address of `wrangler dev`, for the help. */
export const DEFAULT_URL = devAddress({})

/** The options of every command that reaches a Worker, and their help. */
export const WORKER_OPTIONS = { url: { type: 'string' }, token: { type: 'string' }, ...CONFIG_OPTIONS } as const

interface WorkerOptions extends ConfigOptions {
  readonly url?: string | undefined
  readonly token?: string | undefined
}
export const TOKEN_HELP = `\
  --token <token>   its ADMIN_TOKEN; better set ADMIN_TOKEN in the environment, which a list of
                    processes does not show`

/** An object's outbox: the class as the Worker's routes name it, and the object's name. */
export interface Target {
  readonly className: string
  readonly object: string
}

/** Reads `<class>/<object>`: the object's name may hold slashes, the class's does not. @throws {CDCError} `invalid-argument`. */
export function parseTarget(place: string): Target {
  const slash = place.indexOf('/')
  const target = { className: place.slice(0, Math.max(slash, 0)), object: place.slice(slash + 1) }
  if (target.className === '' || target.object === '')
    throw usage(`"${place}" is not <class>/<object>, such as customers/acme`)
  // A path segment of dots alone would mean the folder or the one above.
  for (const name of [target.className, target.object])
    if (/^\.\.?$/.test(name)) throw usage(`what is named "${name}" cannot be reached over HTTP`)
  return target
}

/** From where on, and for how long, a log is followed. */
interface TailRequest {
  readonly query: Readonly<Record<string, string>>
  readonly cursor: string | undefined
  readonly signal: AbortSignal
}

/** The server refused a call. The message is the server's own. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError'
  readonly code: string
  readonly retryable: boolean

  constructor(code: string, message: string, retryable = false) {
    const isClosed = code === 'unauthorized'
    super(isClosed ? `${message} (give it the token: ADMIN_TOKEN in the environment, or --token)` : message)
    this.code = code
    this.retryable = retryable
  }
}

const refusalSchema = z.object({ error: z.string(), code: z.string(), retryable: z.boolean().default(false) })
const rangesSchema = z.object({
  ns: z.string(),
  source: z.string(),
  epoch: z.string(),
  ranges: z.array(z.object({ first: z.int(), last: z.int() })),
})
const outcomeSchema = z.object({ goneFiles: z.int(), forgotten: z.array(rangesSchema) })

const recoveredSchema = z.object({
  faults: z.array(z.object({ file: z.string(), problem: z.string() })),
  disagreement: z.string().optional(),
  stateVersion: z.int(),
  tableVersion: z.int(),
  version: z.int(),
  keptFiles: z.int(),
  rescuedEvents: z.int(),
  events: z.int(),
  lostEvents: z.int(),
  isDone: z.boolean(),
})
/** What the lake found, and did. */
export type RecoverOutcome = z.infer<typeof recoveredSchema>

const statusSchema = z.object({
  version: z.int(),
  bufferedEvents: z.int(),
  heldEvents: z.int(),
  lagMs: z.number(),
  freshnessMs: z.number(),
  isBehind: z.boolean(),
  lastError: z.string().optional(),
  catalog: z.string().optional(),
})
/** What the lake reports about what waits in it. */
export type LakeReport = z.infer<typeof statusSchema>

/** A Worker without `lakeRoutes`. */
export interface NoRoute {
  /** What it answers in their place. */
  readonly noRoute: string
}

/** What the Worker answered, if that is JSON. */
interface Answer {
  readonly response: Response
  readonly body: unknown
}

export class WorkerClient {
  readonly #url: string
  readonly #token: string | undefined

  /** @throws {CDCError} `invalid-argument` for a URL or a token that nothing should be sent to or with. */
  constructor(url: string, token: string | undefined) {
    this.#url = checkAddress('--url', url, token !== undefined)
    this.#token = token === undefined ? undefined : checkToken(token)
  }

  /**
   * The Worker of a command line, with the token that the environment has if the command line has none. If it names no URL,
   * that is the Worker which `wrangler dev` runs with the configuration.
   */
  static of(options: WorkerOptions, io: IO) {
    return new WorkerClient(addressOf(options, io), (options.token ?? io.env['ADMIN_TOKEN'])?.trim() || undefined)
  }

  /**
   * Calls a method of an outbox.
   *
   * @returns the JSON of its result.
   * @throws {RefusedError} with the server's message; or an `Error` if there is no server, or another one.
   */
  async call({ className, object }: Target, method: keyof OutboxCalls, argument?: unknown): Promise<unknown> {
    const path = [className, object, method].map(encodeURIComponent).join('/')
    const { response, body } = await this.#post(`${OUTBOXES}/${path}`, argument, CALL_MS)
    if (response.ok && body !== undefined) return body
    throw new Error(`${this.#url}${OUTBOXES} ${strangeness(response, 'outboxRoutes')}`)
  }

  /** Asks the fleet for a page of its members, or has each of them do something. Throws as `call` does. */
  async fleet(action: 'list' | 'call', request: object): Promise<unknown> {
    const { response, body } = await this.#post(`${FLEET}/${action}`, request, CALL_MS)
    if (response.ok && body !== undefined) return body
    throw new Error(`${this.#url}${FLEET} ${strangeness(response, 'fleetRoutes')}`)
  }

  /** The same; nothing if the Worker has no fleet. */
  async fleetIfAny(action: 'list', request: object): Promise<unknown> {
    try {
      const { response, body } = await this.#post(`${FLEET}/${action}`, request, CALL_MS)
      return response.ok ? body : undefined
    } catch (error) {
      if (error instanceof RefusedError && !['unauthorized', 'forbidden'].includes(error.code)) return undefined
      throw error
    }
  }

  /**
   * Opens the tail of an object, after a cursor if there is one.
   *
   * @returns server-sent events, until the signal aborts.
   * @throws {RefusedError} with the server's message; or an `Error` if there is no server, or another one.
   */
  async tail(
    { className, object }: Target,
    { query, cursor, signal }: TailRequest,
  ): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
    const path = [className, object].map(encodeURIComponent).join('/')
    const url = `${this.#url}${TAILS}/${path}?${new URLSearchParams(query).toString()}`
    const response = await openStream(url, { token: this.#token, lastEventId: cursor, signal })
    const isStream = response.headers.get('content-type')?.startsWith('text/event-stream') === true
    if (response.ok && isStream && response.body !== null) return response.body
    await read(response)
    throw new Error(
      `${this.#url}${TAILS} answered ${response.status} without events; does the Worker mount tailRoutes there?`,
    )
  }

  /** Asks the lake how it is. @throws {RefusedError} with the server's message; or an `Error` if there is no lake there. */
  async lakeStatus(): Promise<LakeReport> {
    const url = `${this.#url}${LAKE}`
    const { response, body } = await read(await get(url, { token: this.#token, timeoutMs: STATUS_MS }))
    const status = response.ok ? statusSchema.safeParse(body).data : undefined
    if (status !== undefined) return status
    throw new Error(`${url} ${strangeness(response, 'lakeRoutes')}`)
  }

  /**
   * Has the lake look for what it has lost.
   *
   * @returns what it found, or how the Worker answers where `lakeRoutes` should be.
   * @throws {RefusedError} with the server's message; or an `Error` if there is no server, or another one.
   */
  async repair(ranges: readonly LogRanges[]): Promise<RepairOutcome | NoRoute> {
    const { response, body } = await this.#post(REPAIR, ranges, REPAIR_MS)
    const url = `${this.#url}${REPAIR}`
    const outcome = response.ok ? outcomeSchema.safeParse(body).data : undefined
    if (outcome !== undefined) return outcome
    // A Worker that knows no such path answers 404, or what it answers to every path.
    if (response.ok || response.status === 404) return { noRoute: `${url} ${strangeness(response, 'lakeRoutes')}` }
    throw new Error(`${url} ${strangeness(response, 'lakeRoutes')}`)
  }

  /**
   * Has the lake rebuild its table and its state, or tell what it would do.
   *
   * @throws {RefusedError} with the server's message; or an `Error` if there is no server, or no lake there.
   */
  async recover(isDryRun: boolean): Promise<RecoverOutcome> {
    const { response, body } = await this.#post(RECOVER, { isDryRun }, REPAIR_MS)
    if (response.ok && body !== undefined) return readAnswer(recoveredSchema, body)
    throw new Error(`${this.#url}${RECOVER} ${strangeness(response, 'lakeRoutes')}`)
  }

  async #post(path: string, body: unknown, timeoutMs: number): Promise<Answer> {
    return read(await post(`${this.#url}${path}`, { token: this.#token, body, timeoutMs }))
  }
}

async function read(response: Response): Promise<Answer> {
  const body: unknown = await response.json().catch(() => undefined)
  const refusal = response.ok ? undefined : refusalSchema.safeParse(body).data
  if (refusal !== undefined) throw new RefusedError(refusal.code, refusal.error, refusal.retryable)
  return { response, body }
}

function addressOf(options: WorkerOptions, { cwd, env }: IO): string {
  const { url, config, env: environment } = options
  // A URL needs no configuration, but one that is named must be right.
  if (url !== undefined && config === undefined && environment === undefined) return url
  const path = environment === undefined ? lookForConfig(config, cwd) : findWranglerConfig(config, cwd)
  if (path === undefined) return DEFAULT_URL
  environmentOf(options, path, env)
  return url ?? devAddress(readProject(path))
}

/** Checks that an answer has the form that this version of the library gives it. */
export function readAnswer<Schema extends z.ZodType>(schema: Schema, answer: unknown): z.output<Schema> {
  const parsed = schema.safeParse(answer)
  if (parsed.success) return parsed.data
  throw new Error(
    `the answer is not that of this version of outboxRoutes; does the Worker mount them there? (${problemOf(parsed.error)})`,
  )
}

function strangeness({ status, headers }: Response, routes: string): string {
  const location = headers.get('location')
  if (status >= 300 && status < 400 && location !== null) return `redirects to ${location}; give that as --url`
  return `answered ${status} without the JSON of ${routes}; does the Worker mount them there?`
}
