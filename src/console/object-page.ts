// The page of one object: its outbox, its log, its dead letters, its subscriptions and table snapshots.

import { html } from 'hono/html'
import type { ListedDeadLetter, ListedEvent, OutboxStats } from '../admin/outbox-admin.ts'
import type { SubscriptionStats } from '../admin/subscription-stats.ts'
import { type Cell, cards, difference, type Html, span, table, tableRow } from './html.ts'

export interface ObjectFacts {
  /** The page's own address. */
  readonly href: string
  readonly name: string
  readonly className: string
  readonly stats: OutboxStats
  /** The newest first. */
  readonly events: readonly ListedEvent[]
  readonly query: Readonly<Record<'type' | 'table' | 'key' | 'to', string>>
  /** `to` of the page of older events, if there may be some. */
  readonly older: number | undefined
  readonly deadLetters: readonly ListedDeadLetter[]
  readonly subscriptions: readonly SubscriptionStats[]
}

export function objectPage(facts: ObjectFacts): Html {
  const { name, className, stats, href } = facts
  return html`<h1>${className} / ${name}</h1>
    ${state(stats)}
    ${stats.lastError === undefined ? '' : html`<p class="note bad">The last attempt failed: ${stats.lastError}</p>`}
    ${cards([
      ['ns', stats.ns],
      ['source', stats.source],
      ['epoch', stats.epoch],
      ['pending', stats.pendingEvents],
      ['lag', span(stats.lagMs)],
      ['last LSN', stats.lastLSN],
      ['accepted up to', stats.ackedLSN],
      ['dead letters', stats.deadLetters],
      ['in flight', inFlight(stats)],
    ])}
    <form class="row" method="post" action="${href}/do">
      ${stats.isPaused ? action('resume', 'Resume') : action('pause', 'Pause')} ${action('flush', 'Send now')}
    </form>
    ${stats.deadLetters > 0 ? deadLetters(facts) : ''} ${log(facts)} ${stats.deadLetters > 0 ? '' : deadLetters(facts)}
    ${subscriptions(facts)} ${snapshots(stats)}`
}

function action(name: string, text: string): Html {
  return html`<button name="action" value="${name}">${text}</button>`
}

function state({ isPaused, deadLetters, inFlight, lagMs }: OutboxStats): Html {
  if (isPaused) return html`<p class="warn">Paused: events are captured, and none is sent.</p>`
  if (deadLetters > 0) return html`<p class="bad">The pipeline refused events. Each is below, with its reason.</p>`
  if ((inFlight?.attempts ?? 0) >= 3 || lagMs >= 30_000)
    return html`<p class="bad">Events wait: the pipeline does not accept them.</p>`
  return html`<p class="good">Everything is as it should be.</p>`
}

function inFlight({ inFlight }: OutboxStats): string {
  if (inFlight === undefined) return 'nothing'
  const { firstLSN, lastLSN, attempts } = inFlight
  return `${firstLSN} to ${lastLSN}, attempt ${attempts}`
}

function log({ href, events, query, older, stats }: ObjectFacts): Html {
  const isFollowed = Object.values(query).every((value) => value === '')
  const rows = events.map(eventRow)
  const follow = isFollowed ? html`data-follow="${href}/newer" data-last="${stats.lastLSN}"` : ''
  const more = new URLSearchParams({ ...query, to: String(older ?? '') })
  return html`<h2>Log ${isFollowed ? html`<small class="quiet" data-follow-state role="status"></small>` : ''}</h2>
    <form class="row" method="get" action="${href}">
      ${field('type', query.type)} ${field('table', query.table)} ${field('key', query.key)}
      <button>Filter</button> <a href="${href}">All events</a>
    </form>
    <div class="wide" tabindex="0" role="region" aria-label="Log">
      <table>
        <thead>
          <tr>
            ${['LSN', 'time', 'type', 'table', 'key', 'content', 'state'].map((column) => html`<th scope="col">${column}</th>`)}
          </tr>
        </thead>
        <tbody ${follow}>
          ${rows}
        </tbody>
      </table>
    </div>
    ${events.length === 0 ? html`<p class="quiet">No events.</p>` : ''}
    ${older === undefined ? '' : html`<p><a href="${href}?${more.toString()}">Older events</a></p>`}`
}

function field(name: string, value: string): Html {
  return html`<label>${name}<input name="${name}" value="${value}" /></label>`
}

export function eventRow(event: ListedEvent): Html {
  const { lsn, timestamp, type, table: tableName = '', key = '', status } = event
  const cells: Cell[] = [lsn, html`<time>${timestamp}</time>`, type, tableName, key, content(event), status]
  return tableRow(cells)
}

function content({ before, after, data }: Pick<ListedEvent, 'before' | 'after' | 'data'>): Html {
  if (before === undefined && after === undefined && data === undefined) return html`<span class="quiet">none</span>`
  const rows = before === undefined && after === undefined ? '' : difference(before, after)
  return html`<details>
    <summary>${data === undefined ? 'row' : 'data'}</summary>
    ${rows} ${data === undefined ? '' : html`<pre>${JSON.stringify(data, null, 2)}</pre>`}
  </details>`
}

function deadLetters({ href, deadLetters: letters }: ObjectFacts): Html {
  const choose = (id: string) =>
    html`<form class="row" method="post" action="${href}/do">
      <input type="hidden" name="id" value="${id}" />
      ${action('redrive', 'Send again')}
      <label>reason<input name="reason" maxlength="1000" /></label>
      ${action('discard', 'Discard')}
    </form>`
  const rows = letters.map(({ lsn, id, event, reason, attempts, lastAttempt }): Cell[] => [
    lsn,
    event.type,
    content(event),
    reason,
    attempts,
    lastAttempt,
    choose(id),
  ])
  return html`<h2>Dead letters</h2>
    ${table('Dead letters', ['LSN', 'type', 'content', 'reason', 'attempts', 'last attempt', 'what to do'], rows, 'The pipeline has refused nothing.')}`
}

function subscriptions({ subscriptions: all }: ObjectFacts): Html {
  if (all.length === 0) return html``
  return html`<h2>Subscriptions</h2>
    ${table(
      'Subscriptions',
      ['name', 'state', 'up to', 'pending', 'lag', 'delivered', 'missed', 'dead letters', 'last deliveries'],
      all.map((each): Cell[] => [
        each.name,
        each.status,
        each.ackedLSN,
        each.pendingEvents,
        span(each.lagMs),
        each.deliveredEvents,
        each.missedEvents,
        each.deadLetters,
        html`<details>
          <summary>${each.deliveries.length}</summary>
          <pre>${JSON.stringify(each.deliveries, null, 2)}</pre>
        </details>`,
      ]),
      '',
    )}`
}

function snapshots({ snapshots: all, captured }: OutboxStats): Html {
  const tables = Object.entries(captured)
  return html`${
    all.length === 0
      ? ''
      : html`<h2>Table snapshots</h2>
          <pre>${JSON.stringify(all, null, 2)}</pre>`
  }
  ${
    tables.length === 0
      ? ''
      : html`<h2>Captured tables</h2>
          ${table('Captured tables', ['table', 'state'], tables, '')}`
  }`
}
