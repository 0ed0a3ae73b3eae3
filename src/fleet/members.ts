// The members that one object of the fleet knows, in its SQLite.

import type { Member, Trouble } from '../membership/fleet.ts'
import type { Migration } from '../sqlite/migrate.ts'

export const migrations: readonly Migration[] = [
  {
    name: '0001_fleet',
    sql: `
      -- trouble is JSON, or NULL; so the index is of those that are in trouble.
      CREATE TABLE fleet_member (
        id TEXT PRIMARY KEY, class TEXT NOT NULL, name TEXT, ns TEXT NOT NULL, source TEXT NOT NULL, epoch TEXT NOT NULL,
        since_ms INTEGER NOT NULL, told_ms INTEGER NOT NULL, trouble TEXT
      ) WITHOUT ROWID;
      CREATE INDEX fleet_trouble ON fleet_member (id) WHERE trouble IS NOT NULL;`,
  },
]

/** A member as the fleet knows it. Times are in milliseconds since 1970. */
export interface KnownMember extends Member {
  sinceMs: number
  toldMs: number
  trouble?: Trouble
}

/** Which members: all of a class, of an ns, or in trouble. */
export interface MemberFilter {
  className?: string
  ns?: string
  isTroubled?: true
}

/** What is counted of the members of one class. */
export interface ClassSummary {
  className: string
  members: number
  troubled: number
  /** Of the members in trouble, added up. */
  pendingEvents: number
  deadLetters: number
  paused: number
  /** When their oldest pending event was committed; missing if none of them has one. */
  oldestPendingMs?: number
}

type MemberRow = {
  id: string
  class: string
  name: string | null
  ns: string
  source: string
  epoch: string
  since_ms: number
  told_ms: number
  trouble: string | null
}

type SummaryRow = {
  class: string
  members: number
  troubled: number
  pending: number
  letters: number
  paused: number
  oldest: number | null
}

export class Members {
  readonly #sql: SqlStorage

  constructor(sql: SqlStorage) {
    this.#sql = sql
  }

  put({ id, className, name, ns, source, epoch }: Member, trouble: Trouble | undefined, nowMs: number): void {
    this.#sql.exec(
      `INSERT INTO fleet_member (id, class, name, ns, source, epoch, since_ms, told_ms, trouble)
       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8)
       ON CONFLICT (id) DO UPDATE SET class = ?2, name = ?3, ns = ?4, source = ?5, epoch = ?6, told_ms = ?7, trouble = ?8`,
      id,
      className,
      name ?? null,
      ns,
      source,
      epoch,
      nowMs,
      trouble === undefined ? null : JSON.stringify(trouble),
    )
  }

  get(id: string): KnownMember | undefined {
    const [row] = this.#sql.exec<MemberRow>('SELECT * FROM fleet_member WHERE id = ?', id).toArray()
    return row && memberOf(row)
  }

  remove(id: string): boolean {
    return this.#sql.exec('DELETE FROM fleet_member WHERE id = ?', id).rowsWritten > 0
  }

  /** Members in the order of their ids. */
  page({ className, ns, isTroubled }: MemberFilter, after: string, limit: number): KnownMember[] {
    const conditions = ['id > ?']
    const bindings = [after]
    if (className !== undefined) {
      conditions.push('class = ?')
      bindings.push(className)
    }
    if (ns !== undefined) {
      conditions.push('ns = ?')
      bindings.push(ns)
    }
    if (isTroubled) conditions.push('trouble IS NOT NULL')
    const select = `SELECT * FROM fleet_member WHERE ${conditions.join(' AND ')} ORDER BY id LIMIT ?`
    return this.#sql
      .exec<MemberRow>(select, ...bindings, limit)
      .toArray()
      .map(memberOf)
  }

  /** Reads every member. */
  summary(): ClassSummary[] {
    return this.#sql
      .exec<SummaryRow>(
        `SELECT class, count(*) AS members, count(trouble) AS troubled,
           coalesce(sum(trouble ->> 'pendingEvents'), 0) AS pending, coalesce(sum(trouble ->> 'deadLetters'), 0) AS letters,
           coalesce(sum(trouble ->> 'isPaused'), 0) AS paused, min(trouble ->> 'oldestPendingMs') AS oldest
         FROM fleet_member GROUP BY class ORDER BY class`,
      )
      .toArray()
      .map(({ class: className, members, troubled, pending, letters, paused, oldest }) => ({
        className,
        members,
        troubled,
        pendingEvents: pending,
        deadLetters: letters,
        paused,
        ...(oldest !== null && { oldestPendingMs: oldest }),
      }))
  }
}

function memberOf({
  id,
  class: className,
  name,
  ns,
  source,
  epoch,
  since_ms,
  told_ms,
  trouble,
}: MemberRow): KnownMember {
  return {
    id,
    className,
    ...(name !== null && { name }),
    ns,
    source,
    epoch,
    sinceMs: since_ms,
    toldMs: told_ms,
    // What `put` wrote.
    ...(trouble !== null && { trouble: JSON.parse(trouble) as Trouble }),
  }
}
