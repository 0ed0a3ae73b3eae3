// What a reader of the log makes of it, held against the tables: the rows that live by the log are the rows there are.

import type { CommittedEvent } from 'durable-outbox'
import { describeRow, type Modes, type Row } from './documented.ts'
import { showRow, type TableInfo } from './table-rows.ts'

export type LoggedEvent = Pick<CommittedEvent, 'lsn' | 'op' | 'table' | 'key'> & { readonly after?: object }

/** A table whose log is followed. */
export interface Followed {
  readonly modes: Modes
  /** Rows that were there before, of which the log need not tell as long as nothing touches them. */
  readonly untold: ReadonlyMap<string, number>
  /** Its columns, and how their names came about, as events of before have others. */
  readonly columns: readonly string[]
  readonly renamed: readonly { readonly from: string; readonly to: string }[]
  readonly dropped: readonly string[]
  readonly added: readonly string[]
  /** It was dropped: what comes under its name is another table. */
  readonly isGone: boolean
}

export function follow(columns: readonly string[], modes: Modes, rows: readonly Row[]): Followed {
  const untold = new Map<string, number>()
  for (const row of rows) add(untold, canonical(describeRow(row, modes)), 1)
  return { modes, untold, columns, renamed: [], dropped: [], added: [], isGone: false }
}

/** Notes what a change of the schema made of a table's columns. */
export function noteColumns(followed: Followed, columns: readonly string[]): Followed {
  const lost = followed.columns.filter((column) => !columns.includes(column))
  const found = columns.filter((column) => !followed.columns.includes(column))
  const [from] = lost
  const [to] = found
  const isRename = lost.length === 1 && found.length === 1 && from !== undefined && to !== undefined
  if (isRename) {
    const { [from]: mode, ...others } = followed.modes
    const modes = mode === undefined ? others : { ...others, [to]: mode }
    const change = { renamed: [{ from, to }], dropped: [] }
    return {
      ...followed,
      modes,
      columns,
      renamed: [...followed.renamed, ...change.renamed],
      added: followed.added.map((column) => (column === from ? to : column)),
      untold: evolveUntold(followed, change),
    }
  }
  return {
    ...followed,
    columns,
    dropped: [...followed.dropped, ...lost],
    added: [...followed.added, ...found],
    // Rows that nobody touched have the new column as well.
    untold: evolveUntold(followed, { renamed: [], dropped: lost }),
  }
}

type ColumnChange = Pick<Followed, 'renamed' | 'dropped'>

function evolveUntold({ untold }: Followed, change: ColumnChange): Map<string, number> {
  const evolved = new Map<string, number>()
  for (const [row, count] of untold) add(evolved, canonical(evolve(JSON.parse(row) as object, change)), count)
  return evolved
}

export class Fold {
  #tables = new Map<string, Map<string, object>>()

  /** Keeps what it has now. @returns what brings that back. */
  savepoint(): () => void {
    const tables = new Map([...this.#tables].map(([table, rows]) => [table, new Map(rows)]))
    return () => (this.#tables = tables)
  }

  add({ op, table, key, after }: LoggedEvent): void {
    if (op === undefined || table === undefined || key === undefined) return
    const rows = this.#tables.get(table) ?? new Map<string, object>()
    this.#tables.set(table, rows)
    if (op === 'd') rows.delete(key)
    else rows.set(key, after ?? {})
  }

  clear(table?: string): void {
    if (table === undefined) this.#tables.clear()
    else this.#tables.delete(table)
  }

  /** What is wrong about a table by the log, or nothing. */
  difference(table: string, followed: Followed, rows: readonly Row[], info: TableInfo): string | undefined {
    const live = [...(this.#tables.get(table) ?? [])].map(([key, after]) => ({ key, after: evolve(after, followed) }))
    const left = rows.map((row) => ({ row, described: describeRow(row, followed.modes) }))
    const partial = live.filter(({ after }) => info.columns.some((column) => !(column in after)))
    const whole = live.filter((each) => !partial.includes(each))
    for (const { key, after } of [...whole, ...partial]) {
      const columns = info.columns.filter((column) => column in after || !followed.added.includes(column))
      const text = canonical(pick(after, columns))
      const found = left.findIndex(({ described }) => canonical(pick(described, columns)) === text)
      if (found === -1)
        return (
          `by the log ${table} has a row of key ${JSON.stringify(key)} that it has not:\n  ${text}\n` + showTable(left)
        )
      left.splice(found, 1)
    }
    const untold = new Map(followed.untold)
    for (const { row, described } of left) {
      const text = canonical(pick(described, columnsOf(described, followed)))
      const count = untold.get(text) ?? 0
      if (count === 0)
        return `${table} has a row of which the log does not tell:\n  ${showRow(row)}\nby the log there are:\n${showLive(live)}`
      untold.set(text, count - 1)
    }
    return undefined
  }
}

function columnsOf(described: object, { added }: Followed): string[] {
  return Object.keys(described).filter((column) => !added.includes(column))
}

function showTable(rows: readonly { readonly row: Row }[]): string {
  return rows.length === 0
    ? 'no row of the table is left'
    : `the rows that are left are:\n${rows.map(({ row }) => `  ${showRow(row)}`).join('\n')}`
}

function showLive(live: readonly { readonly key: string; readonly after: object }[]): string {
  return live.map(({ key, after }) => `  ${JSON.stringify(key)}: ${canonical(after)}`).join('\n') || '  none'
}

/** A row of an event under the names that its columns have now. */
function evolve(after: object, { renamed, dropped }: ColumnChange): Record<string, unknown> {
  const row: Record<string, unknown> = { ...after }
  for (const { from, to } of renamed)
    if (from in row && !(to in row)) {
      row[to] = row[from]
      delete row[from]
    }
  for (const column of dropped) delete row[column]
  return row
}

function pick(row: object, columns: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(row).filter(([column]) => columns.includes(column)))
}

/** The same text for the same JSON, in whatever order its fields come. */
export function canonical(json: unknown): string {
  return JSON.stringify(json, (_key, field: unknown) =>
    typeof field === 'object' && field !== null && !Array.isArray(field)
      ? Object.fromEntries(Object.entries(field).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : field,
  )
}

function add(counts: Map<string, number>, key: string, count: number): void {
  counts.set(key, (counts.get(key) ?? 0) + count)
}
