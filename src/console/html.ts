// What every page of the console has, and the parts that several of them show. hono's html escapes what it is given.

import { html } from 'hono/html'

export type Html = ReturnType<typeof html>

export interface PageFacts {
  readonly title: string
  /** Where the console is mounted, without a slash at its end. */
  readonly base: string
  /** Which part of the navigation the page belongs to; none before somebody is signed in. */
  readonly part?: 'fleet' | 'lake'
}

export function page({ title, base, part }: PageFacts, content: Html): Html {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title} · durable-outbox</title>
        <link rel="icon" href="data:," />
        <link rel="stylesheet" href="${base}/style.css" />
        <script src="${base}/script.js" type="module"></script>
      </head>
      <body>
        <header>
          <strong>durable-outbox</strong>
          ${part === undefined ? '' : navigation(base, part)}
        </header>
        <main>${content}</main>
      </body>
    </html>`
}

function navigation(base: string, part: 'fleet' | 'lake'): Html {
  const link = (name: 'fleet' | 'lake', href: string, text: string) =>
    html`<a href="${href}" ${name === part ? html`aria-current="page"` : ''}>${text}</a>`
  return html`<nav aria-label="Parts">${link('fleet', base, 'Fleet')} · ${link('lake', `${base}/lake`, 'Lake')}</nav>
    <form method="post" action="${base}/sign-out"><button>Sign out</button></form>`
}

/** Facts side by side. */
export function cards(facts: readonly (readonly [name: string, value: unknown])[]): Html {
  return html`<dl class="cards">
    ${facts.map(
      ([name, value]) =>
        html`<div>
          <dt>${name}</dt>
          <dd>${value}</dd>
        </div>`,
    )}
  </dl>`
}

export type Cell = string | number | Html

export function table(
  caption: string,
  columns: readonly string[],
  rows: readonly (readonly Cell[])[],
  empty: string,
): Html {
  if (rows.length === 0) return html`<p class="quiet">${empty}</p>`
  return html`<div class="wide" tabindex="0" role="region" aria-label="${caption}">
    <table>
      <thead>
        <tr>
          ${columns.map((column) => html`<th scope="col">${column}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(tableRow)}
      </tbody>
    </table>
  </div>`
}

export function tableRow(cells: readonly Cell[]): Html {
  return html`<tr>
    ${cells.map((cell) => html`<td ${typeof cell === 'number' ? html`class="number"` : ''}>${cell}</td>`)}
  </tr>`
}

export function failure(text: string): Html {
  return html`<p class="note bad" role="alert">${text}</p>`
}

/** A time span in its largest unit: `240 ms`, `12 s`, `5 min`, `3 h`, `2 d`. */
export function span(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`
  if (ms < 120_000) return `${Math.round(ms / 1_000)} s`
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`
  return ms < 172_800_000 ? `${Math.round(ms / 3_600_000)} h` : `${Math.round(ms / 86_400_000)} d`
}

/** Rows before and after a change, with what is different marked. */
export function difference(before: unknown, after: unknown): Html {
  const [old, now] = [fieldsOf(before), fieldsOf(after)]
  const names = [...new Set([...Object.keys(old), ...Object.keys(now)])]
  return html`<pre>
${names.map((name) => {
  const [was, is] = [textOf(old[name]), textOf(now[name])]
  if (was === is) return html`${name}: ${is} `
  return html`${was === undefined ? '' : html`<del>${name}: ${was}</del> `}${is === undefined ? '' : html`<ins>${name}: ${is}</ins> `}`
})}</pre>`
}

function fieldsOf(row: unknown): Record<string, unknown> {
  return Object(row) as Record<string, unknown>
}

function textOf(value: unknown): string | undefined {
  return value === undefined ? undefined : JSON.stringify(value)
}
