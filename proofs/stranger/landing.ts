import { setTimeout as pause } from 'node:timers/promises'
import type { Project } from './project.ts'

const LANDING_MS_MAX = 60_000
const POLL_MS = 500
const COUNTS = 'SELECT type, count(*) AS events FROM events GROUP BY type'

/** Asks the command until all events that are expected, by type, have landed. @returns what has not in time. */
export async function awaitLanding(
  project: Project,
  expected: Readonly<Record<string, number>>,
  flags: readonly string[] = [],
): Promise<string[]> {
  for (const endMs = Date.now() + LANDING_MS_MAX; ; await pause(POLL_MS)) {
    const answer = await project.program('durable-outbox', 'query', COUNTS, '--json', ...flags)
    const rows = JSON.parse(answer) as { type: string; events: number }[]
    const counts = new Map(rows.map(({ type, events }) => [type, events]))
    const missing = Object.entries(expected).filter(([type, events]) => counts.get(type) !== events)
    if (missing.length === 0) return []
    if (Date.now() > endMs)
      return missing.map(([type, events]) => `${counts.get(type) ?? 0} of ${events} events ${type} have landed`)
  }
}
