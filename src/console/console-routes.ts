// The console: pages for people, made by the Worker. They need nothing from elsewhere, and no script but to follow a log.

import { type Context, Hono } from 'hono'
import { html } from 'hono/html'
import type { OutboxAdmin, OutboxMatch } from '../admin/outbox-admin.ts'
import { withOutbox } from '../admin/outbox-calls.ts'
import { CDCError, messageOf, reasonOf } from '../error.ts'
import { exportedClass, type FindClass } from '../fleet/find-class.ts'
import type { KnownMember } from '../fleet/members.ts'
import { type FleetEnv, fleetOf, findMember, readPage, summarize } from '../fleet/pages.ts'
import { type Cell, cards, failure, type Html, page, type PageFacts, span, table } from './html.ts'
import { eventRow, objectPage } from './object-page.ts'
import { SCRIPT } from './script.ts'
import { isOpen, requireSession, signIn, signOut } from './session.ts'
import { STYLE } from './style.ts'

const MEMBERS_SHOWN = 100
const EVENTS_SHOWN = 50
const LETTERS_SHOWN = 50

/** What a lake reports, as the console shows it. */
export interface ShownLake {
  status(): object | PromiseLike<object>
}

export interface ConsoleOptions<Env> {
  /** The lake that the objects send to, if there is one: `(env) => env.EVENTS_PIPELINE`. */
  lake?: (env: Env) => ShownLake
  /** The binding of a class. Default: the class as the Worker exports it. */
  find?: FindClass
  /** Where it is mounted. Default: `/console`. */
  base?: string
}

/** What is called of an outbox here. */
type ShownOutbox = {
  [Method in ShownMethod]: (
    ...args: Parameters<OutboxAdmin[Method]>
  ) => Promise<Awaited<ReturnType<OutboxAdmin[Method]>>>
}
type ShownMethod =
  | 'stats'
  | 'list'
  | 'deadLetters'
  | 'subscriptions'
  | 'pause'
  | 'resume'
  | 'flush'
  | 'redrive'
  | 'discard'

const HEADERS = {
  'content-security-policy':
    "default-src 'none'; img-src data:; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  // Without any, a form's origin would be null.
  'referrer-policy': 'same-origin',
  'cache-control': 'no-store',
}

/**
 * A hono app with a page for the fleet, one for each object, and one for the lake: `app.route('/console', consoleRoutes())`. Whoever
 * knows `env.ADMIN_TOKEN` signs in with it; while that is empty, nobody does. The objects are those of the fleet: bind `OutboxFleet`.
 */
export function consoleRoutes<Env extends FleetEnv>({
  lake,
  find = exportedClass,
  base = '/console',
}: ConsoleOptions<Env> = {}): Hono<{ Bindings: Env }> {
  const app = new Hono<{ Bindings: Env }>()
  const show = (c: Context, facts: Omit<PageFacts, 'base'>, content: Html, status: 200 | 401 | 403 | 404 | 500 = 200) =>
    c.html(page({ ...facts, base }, content), status, HEADERS)
  app.onError((error, c) => {
    const isOurs = error instanceof CDCError
    if (!isOurs) console.error('console:', error)
    const text = isOurs ? error.message : "an unexpected error; it is in the Worker's log"
    return show(
      c,
      { title: 'Error' },
      html`${failure(text)}
        <p><a href="${base}">Back to the fleet</a></p>`,
      500,
    )
  })
  app.get('/style.css', (c) => c.body(STYLE, 200, { ...HEADERS, 'content-type': 'text/css; charset=utf-8' }))
  app.get('/script.js', (c) => c.body(SCRIPT, 200, { ...HEADERS, 'content-type': 'text/javascript; charset=utf-8' }))
  app.get('/sign-in', (c) => show(c, { title: 'Sign in' }, signInForm(base, isOpen(c))))
  app.post('/sign-in', async (c) => {
    const { token } = await c.req.parseBody()
    if (typeof token === 'string' && (await signIn(c, token, base))) return c.redirect(base, 303)
    return show(c, { title: 'Sign in' }, signInForm(base, isOpen(c), 'This is not the token.'), 401)
  })
  app.use(
    requireSession((c) =>
      c.req.method === 'GET' ? c.redirect(`${base}/sign-in`, 303) : c.text('sign in first\n', 403),
    ),
  )
  app.post('/sign-out', (c) => {
    signOut(c, base)
    return c.redirect(`${base}/sign-in`, 303)
  })
  app.get('/', async (c) => {
    const { after, troubled, ns = '' } = c.req.query()
    const fleet = fleetOf(c.env)
    const filter = { ...(troubled === 'yes' && { isTroubled: true as const }), ...(ns !== '' && { ns }) }
    const [classes, members] = await Promise.all([
      summarize(fleet),
      readPage(fleet, filter, { after, limit: MEMBERS_SHOWN }),
    ])
    return show(
      c,
      { title: 'Fleet', part: 'fleet' },
      fleetPage(base, classes, members, { ns, isTroubled: troubled === 'yes' }),
    )
  })
  app.get('/lake', async (c) => {
    const content =
      lake === undefined ? html`<p class="note">The console was given no lake.</p>` : await lakePage(lake(c.env))
    return show(
      c,
      { title: 'Lake', part: 'lake' },
      html`<h1>Lake</h1>
        ${content}`,
    )
  })
  app.get('/object/:id', async (c) => {
    const member = await memberOf(c.env, c.req.param('id'))
    const content = await useOutbox(member, find, (outbox) => showObject(outbox, member, c.req.query(), base))
    return show(c, { title: nameOf(member), part: 'fleet' }, content)
  })
  app.get('/object/:id/newer', async (c) => {
    const member = await memberOf(c.env, c.req.param('id'))
    const from = Number(c.req.query('after') ?? 0) + 1
    const { items } = await useOutbox(member, find, async (outbox) => outbox.list({ from, limit: EVENTS_SHOWN }))
    const last = items.at(-1)?.lsn ?? from - 1
    return c.html(
      html`<table>
        <tbody>
          ${items.map(eventRow)}
        </tbody>
      </table>`,
      200,
      { ...HEADERS, 'x-last-lsn': String(last) },
    )
  })
  app.post('/object/:id/do', async (c) => {
    const member = await memberOf(c.env, c.req.param('id'))
    await useOutbox(member, find, async (outbox) => act(outbox, await c.req.parseBody()))
    return c.redirect(hrefOf(base, member), 303)
  })
  app.all('*', (c) => {
    if (c.req.path === `${base}/`) return c.redirect(base, 303)
    return show(c, { title: 'Not found', part: 'fleet' }, failure('There is no such page.'), 404)
  })
  return app
}

function signInForm(base: string, isTokenSet: boolean, problem?: string): Html {
  return html`<div class="sign-in">
    <h1>Sign in</h1>
    ${problem === undefined ? '' : failure(problem)}
    ${isTokenSet ? '' : failure('ADMIN_TOKEN is not set, so nobody can sign in: npx wrangler secret put ADMIN_TOKEN, or ADMIN_TOKEN=… in .dev.vars.')}
    <form method="post" action="${base}/sign-in">
      <label
        >The Worker's ADMIN_TOKEN
        <input type="password" name="token" required autofocus autocomplete="current-password"
      /></label>
      <p><button>Sign in</button></p>
    </form>
  </div>`
}

function fleetPage(
  base: string,
  classes: Awaited<ReturnType<typeof summarize>>,
  { members, next }: Awaited<ReturnType<typeof readPage>>,
  { ns, isTroubled }: { ns: string; isTroubled: boolean },
): Html {
  const nowMs = Date.now()
  const rows = members.map((member): Cell[] => {
    const { className, trouble, ns: own, sinceMs } = member
    const state = trouble === undefined ? html`<span class="good">ok</span>` : html`<span class="bad">in trouble</span>`
    const lag = trouble?.oldestPendingMs === undefined ? '' : span(nowMs - trouble.oldestPendingMs)
    const link = html`<a href="${hrefOf(base, member)}">${nameOf(member)}</a>`
    return [
      className,
      link,
      own,
      state,
      trouble?.pendingEvents ?? '',
      lag,
      trouble?.deadLetters ?? '',
      span(nowMs - sinceMs),
    ]
  })
  const more = new URLSearchParams({ ...(isTroubled && { troubled: 'yes' }), ns, after: next ?? '' })
  return html`<h1>Fleet</h1>
    ${table(
      'Classes',
      ['class', 'objects', 'in trouble', 'pending in these', 'oldest', 'dead letters'],
      classes.map((each): Cell[] => [
        each.className,
        each.members,
        each.troubled,
        each.pendingEvents,
        each.oldestPendingMs === undefined ? '' : span(nowMs - each.oldestPendingMs),
        each.deadLetters,
      ]),
      'No object has emitted an event yet.',
    )}
    <h2>Objects</h2>
    <form class="row" method="get" action="${base}">
      <label>ns<input name="ns" value="${ns}" /></label>
      <label
        >state
        <select name="troubled">
          <option value="">all</option>
          <option value="yes" ${isTroubled ? 'selected' : ''}>in trouble</option>
        </select>
      </label>
      <button>Show</button>
    </form>
    ${table('Objects', ['class', 'object', 'ns', 'state', 'pending', 'lag', 'dead letters', 'known for'], rows, 'None.')}
    ${next === undefined ? '' : html`<p><a href="${base}?${more.toString()}">More objects</a></p>`}`
}

async function lakePage(lake: ShownLake): Promise<Html> {
  try {
    const status = Object.entries(await lake.status()) as [string, unknown][]
    const isBehind = status.some(([name, value]) => name === 'isBehind' && value === true)
    const facts = status.map(
      ([name, value]) =>
        [
          name,
          typeof value === 'object' && value !== null
            ? html`<pre>${JSON.stringify(value, null, 2)}</pre>`
            : JSON.stringify(value),
        ] as const,
    )
    return html`${isBehind ? failure('The lake is behind: it takes nothing in until what waits has landed.') : ''}${cards(facts)}`
  } catch (error) {
    return failure(`The lake can't be asked: ${reasonOf(error)}`)
  }
}

async function showObject(
  outbox: ShownOutbox,
  member: KnownMember,
  given: Record<string, string>,
  base: string,
): Promise<Html> {
  const { type = '', table: tableName = '', key = '', to = '' } = given
  const stats = await outbox.stats()
  const last = Math.min(Number(to) || stats.lastLSN, stats.lastLSN)
  const match: OutboxMatch = {
    ...(type !== '' && { type }),
    ...(tableName !== '' && { table: tableName }),
    ...(key !== '' && { key }),
  }
  const isFiltered = Object.keys(match).length > 0
  // The newest of a log are at its end. Those that match may lie far apart, so a longer part of it is looked at.
  const from = Math.max(1, last - (isFiltered ? 1_000 : EVENTS_SHOWN) + 1)
  const page =
    last < 1 ? { items: [] } : await outbox.list({ ...match, from, to: last, limit: isFiltered ? 1_000 : EVENTS_SHOWN })
  const [letters, subscriptions] = await Promise.all([
    outbox.deadLetters({ limit: LETTERS_SHOWN }),
    outbox.subscriptions(),
  ])
  return objectPage({
    href: hrefOf(base, member),
    name: nameOf(member),
    className: member.className,
    stats,
    events: page.items.toReversed().slice(0, EVENTS_SHOWN),
    query: { type, table: tableName, key, to },
    older: from > 1 ? from - 1 : undefined,
    deadLetters: letters.items,
    subscriptions,
  })
}

async function act(outbox: ShownOutbox, form: Record<string, unknown>): Promise<void> {
  const { action, id, reason } = form
  const ids = typeof id === 'string' ? [id] : []
  switch (action) {
    case 'pause':
      return outbox.pause()
    case 'resume':
      return outbox.resume()
    case 'flush':
      await outbox.flush()
      return
    case 'redrive':
      await outbox.redrive({ ids })
      return
    case 'discard':
      await outbox.discard({ ids, reason: typeof reason === 'string' ? reason : '' })
      return
    default:
      throw new CDCError('invalid-argument', 'console: there is no such action')
  }
}

async function memberOf(env: FleetEnv, id: string): Promise<KnownMember> {
  const member = await findMember(fleetOf(env), id)
  if (member === undefined) throw new CDCError('not-found', `console: the fleet knows no object ${id}`)
  return member
}

async function useOutbox<T>(
  { className, id }: KnownMember,
  find: FindClass,
  use: (outbox: ShownOutbox) => Promise<T>,
): Promise<T> {
  const namespace = find(className)
  if (namespace === undefined) throw new CDCError('not-found', `console: the Worker exports no class ${className}`)
  const stub = namespace.get(namespace.idFromString(id)) as { outbox: PromiseLike<ShownOutbox> }
  try {
    return await withOutbox(stub, use)
  } catch (error) {
    // Over RPC an error loses its class, and what a caller did wrong is for them to read.
    throw error instanceof CDCError ? error : new CDCError('pipeline-failed', messageOf(error), { cause: error })
  }
}

function hrefOf(base: string, { id }: KnownMember): string {
  return `${base}/object/${id}`
}

function nameOf({ name, id }: KnownMember): string {
  return name ?? id
}
