// The log of an object that captures, and what it folds to.

import type { CommittedEvent, ListedEvent } from 'durable-outbox'
import type { Stores } from '../worker.ts'

export function events(object: Stores): ListedEvent[] {
  return object.outbox.list({ limit: 1_000 }).items
}

/** The last state of each key of a table, as the log has it. */
export function folded(object: Stores, table: string): Record<string, CommittedEvent['after']> {
  const rows: Record<string, CommittedEvent['after']> = {}
  for (const { op, key, after, table: of } of events(object)) {
    if (of !== table || key === undefined) continue
    if (op === 'd') delete rows[key]
    else rows[key] = after
  }
  return rows
}
