// The fleet over HTTP, for `durable-outbox fleet`: who there is, how each is, and one call of many outboxes.

import { Hono, type HonoRequest } from 'hono'
import { callOf, type OutboxHolder } from '../admin/outbox-calls.ts'
import { requireOperator, requireReader } from '../admin/token.ts'
import { reasonOf } from '../error.ts'
import { Fields } from '../event/fields.ts'
import { jsonObject, name, oneOf, optional, text, whole, withDefault } from '../event/kinds.ts'
import { limitBody } from '../http/body-limit.ts'
import { errorResponse } from '../http/error-response.ts'
import { exportedClass, type FindClass } from './find-class.ts'
import type { KnownMember, MemberFilter } from './members.ts'
import { type FleetEnv, type FleetNamespace, fleetOf, readPage, summarize } from './pages.ts'

/** Members of one request: each is asked by one request of the Worker's, of which it may make 1,000. */
const PAGE_MEMBERS_MAX = 100
/** Members that are asked at once. */
const ASKED_AT_ONCE = 6
const BODY_BYTES_MAX = 64 * 1024

/** The calls that may be made of many outboxes. */
const METHODS = ['stats', 'pause', 'resume', 'flush', 'redrive', 'replay', 'snapshot'] as const

interface PageRequest extends MemberFilter {
  after?: string
  limit: number
  /** Only members whose oldest pending event is at least so old: each is asked. */
  laggingMs?: number
}
interface ListRequest extends PageRequest {
  /** Whether each member is asked for its `stats`. */
  isAsked?: boolean
}
interface CallRequest extends PageRequest {
  method: (typeof METHODS)[number]
  argument?: Record<string, unknown>
}

const page = {
  className: optional(name),
  ns: optional(name),
  isTroubled: optional(oneOf([true])),
  after: optional(text(80)),
  limit: withDefault(whole({ to: PAGE_MEMBERS_MAX }), PAGE_MEMBERS_MAX),
  laggingMs: optional(whole({ from: 0 })),
}
const others = 'is not known here'
const listFields = new Fields<ListRequest>({ ...page, isAsked: optional(oneOf([true, false])) }, { others })
const callFields = new Fields<CallRequest>(
  { ...page, method: oneOf(METHODS), argument: optional(jsonObject) },
  { others },
)

/** What became of a call of one member. */
type Answer = { readonly result: unknown } | { readonly error: string }

/**
 * A hono app for the fleet: `app.route('/admin/fleet', fleetRoutes())`. Like the outbox routes it needs the header
 * `Authorization: Bearer <env.ADMIN_TOKEN>`, and the Worker binds `OutboxFleet` as `OUTBOX_FLEET`.
 *
 * `GET /` adds the fleet up by class. `POST /list` and `POST /call` take a page of members, by `{ className, ns, isTroubled,
 * laggingMs, after, limit }`; `list` with `isAsked` has the `stats` of each, and `call` makes a call, `{ method, argument }`, of
 * each. A member that fails has its error in the answer.
 *
 * @param find the binding of a class. Default: the class as the Worker exports it.
 */
export function fleetRoutes(find: FindClass = exportedClass): Hono<{ Bindings: FleetEnv }> {
  const app = new Hono<{ Bindings: FleetEnv }>()
  app.onError(errorResponse('fleet'))
  app.use('/call', requireOperator)
  app.use(requireReader)
  app.use(limitBody('fleet', BODY_BYTES_MAX))
  app.get('/', async (c) => Response.json(await summarize(fleetOf(c.env))))
  app.post('/list', async (c) => {
    const { isAsked = false, ...request } = listFields.parse(await bodyOf(c.req), 'fleet.list', 'invalid-argument')
    if (isAsked || request.laggingMs !== undefined)
      return Response.json(await callPage(fleetOf(c.env), find, { ...request, method: 'stats' }))
    return Response.json(await readPage(fleetOf(c.env), filterOf(request), placeOf(request)))
  })
  app.post('/call', async (c) => {
    const request = callFields.parse(await bodyOf(c.req), 'fleet.call', 'invalid-argument')
    return Response.json(await callPage(fleetOf(c.env), find, request))
  })
  return app
}

function filterOf({ className, ns, isTroubled }: PageRequest): MemberFilter {
  return {
    ...(className !== undefined && { className }),
    ...(ns !== undefined && { ns }),
    ...(isTroubled && { isTroubled }),
  }
}

function placeOf({ after, limit }: PageRequest): { after: string | undefined; limit: number } {
  return { after, limit }
}

async function bodyOf(request: HonoRequest): Promise<unknown> {
  return request.json().catch(() => undefined)
}

/** Makes a call of each member of a page, or of those that lag. */
async function callPage(fleet: FleetNamespace, find: FindClass, { method, argument, ...request }: CallRequest) {
  const { laggingMs } = request
  const { members, next } = await readPage(fleet, filterOf(request), placeOf(request))
  const stats = method === 'stats' || laggingMs !== undefined ? await askAll(members, find, 'stats') : undefined
  const lagging = stats?.filter(([, answer]) => isLagging(answer, laggingMs))
  const chosen = lagging?.map(([member]) => member) ?? members
  const answers = method === 'stats' && lagging ? lagging : await askAll(chosen, find, method, argument)
  return { members: answers.map(([member, answer]) => ({ ...member, ...answer })), next }
}

/** Calls each member, some at once. Never throws. */
async function askAll(
  members: readonly KnownMember[],
  find: FindClass,
  method: string,
  argument?: unknown,
): Promise<[KnownMember, Answer][]> {
  const answers: [KnownMember, Answer][] = []
  for (let index = 0; index < members.length; index += ASKED_AT_ONCE)
    answers.push(
      ...(await Promise.all(
        members
          .slice(index, index + ASKED_AT_ONCE)
          .map(async (member): Promise<[KnownMember, Answer]> => [member, await ask(member, find, method, argument)]),
      )),
    )
  return answers
}

async function ask(member: KnownMember, find: FindClass, method: string, argument: unknown): Promise<Answer> {
  try {
    const namespace = find(member.className)
    if (namespace === undefined) return { error: `the Worker exports no class ${member.className}` }
    const stub = namespace.get(namespace.idFromString(member.id))
    // Each class of the fleet has an outbox: it made itself known by it.
    return { result: (await callOf(method)(stub as OutboxHolder, argument)) ?? null }
  } catch (error) {
    return { error: reasonOf(error) }
  }
}

/** What could not be asked may lag. */
function isLagging(answer: Answer, laggingMs: number | undefined): boolean {
  if (laggingMs === undefined || 'error' in answer) return true
  return Number(Object(answer.result).lagMs) >= laggingMs
}
