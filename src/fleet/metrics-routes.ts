// The fleet and the lake as OpenMetrics text, for Prometheus and whatever reads what it reads.
// https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md

import { Hono } from 'hono'
import { requireToken } from '../http/token.ts'
import { type Metric, openMetrics } from './open-metrics.ts'
import type { ClassSummary } from './members.ts'
import { type FleetEnv, summarize } from './pages.ts'

/** What a lake reports, as far as it is measured here. */
export interface MeasuredLake {
  status(): LakeFacts | PromiseLike<LakeFacts>
}

interface LakeFacts {
  landedEvents: number
  bufferedEvents: number
  bufferedBytes: number
  heldEvents: number
  lagMs: number
  freshnessMs: number
  isBehind: boolean
  lastError?: string
  logsWithHoles: number
  version: number
  files: number
  garbage: number
}

/**
 * A hono app for `GET /`, to be mounted as `/metrics`. It needs the header `Authorization: Bearer <env.METRICS_TOKEN>`, and is
 * closed while that variable is empty. It has no label but the class, however many objects there are.
 *
 * @param options.lake the lake that the objects send to, if there is one: `(env) => env.EVENTS_PIPELINE`.
 */
export function metricsRoutes<Env extends FleetEnv>({ lake }: { lake?: (env: Env) => MeasuredLake } = {}): Hono<{
  Bindings: Env
}> {
  const app = new Hono<{ Bindings: Env }>()
  app.use(requireToken('METRICS_TOKEN', (status, message) => new Response(`metrics: ${message}\n`, { status })))
  app.get('/', async (c) => {
    const [fleet, facts] = await Promise.allSettled([fleetMetrics(c.env), lakeMetrics(c.env, lake)])
    const failed = [fleet, facts].filter(({ status }) => status === 'rejected')
    const up: Metric = {
      name: 'outbox_up',
      help: 'Whether the fleet and the lake could be asked.',
      type: 'gauge',
      samples: [{ value: failed.length === 0 ? 1 : 0 }],
    }
    const metrics = [fleet, facts].flatMap((outcome) => (outcome.status === 'fulfilled' ? outcome.value : []))
    return new Response(openMetrics([up, ...metrics]), {
      headers: { 'content-type': 'application/openmetrics-text; version=1.0.0; charset=utf-8' },
    })
  })
  return app
}

async function fleetMetrics({ OUTBOX_FLEET: fleet }: FleetEnv): Promise<Metric[]> {
  if (fleet === undefined) return []
  const classes = await summarize(fleet)
  const nowMs = Date.now()
  const perClass = (name: string, help: string, value: (summary: ClassSummary) => number): Metric => ({
    name,
    help,
    type: 'gauge',
    samples: classes.map((summary) => ({ labels: { class: summary.className }, value: value(summary) })),
  })
  return [
    perClass('outbox_objects', 'Objects that have emitted an event.', ({ members }) => members),
    perClass(
      'outbox_objects_in_trouble',
      'Objects with dead letters, with a batch that failed three times, or with an event that has waited 30 s.',
      ({ troubled }) => troubled,
    ),
    perClass('outbox_objects_in_trouble_paused', 'Those of them that are paused.', ({ paused }) => paused),
    perClass('outbox_pending_events', 'Events that wait in objects in trouble.', ({ pendingEvents }) => pendingEvents),
    perClass(
      'outbox_dead_letters',
      'Events that the pipeline refused, and that wait for an operator.',
      (summary) => summary.deadLetters,
    ),
    perClass(
      'outbox_lag_max_seconds',
      'Age of the oldest event that waits in an object in trouble; 0 if there is none.',
      ({ oldestPendingMs = nowMs }) => Math.max(0, nowMs - oldestPendingMs) / 1_000,
    ),
  ]
}

async function lakeMetrics<Env>(env: Env, lake: ((env: Env) => MeasuredLake) | undefined): Promise<Metric[]> {
  if (lake === undefined) return []
  const status = await lake(env).status()
  return [
    one('counter', 'lake_landed_events', 'Events in the table.', status.landedEvents),
    one('counter', 'lake_commits', 'Commits to the table.', status.version),
    one('gauge', 'lake_buffered_events', 'Events that wait for a commit.', status.bufferedEvents),
    one('gauge', 'lake_buffered_bytes', 'Their bytes.', status.bufferedBytes),
    one('gauge', 'lake_held_events', 'Events that wait for LSNs before them.', status.heldEvents),
    one('gauge', 'lake_lag_seconds', 'Age of the oldest event that waits for a commit.', status.lagMs / 1_000),
    one(
      'gauge',
      'lake_freshness_limit_seconds',
      'How old it may be; beyond that the lake takes nothing in.',
      status.freshnessMs / 1_000,
    ),
    one('gauge', 'lake_behind', 'Whether it is older.', status.isBehind ? 1 : 0),
    one('gauge', 'lake_failing', 'Whether the last commit failed.', status.lastError === undefined ? 0 : 1),
    one('gauge', 'lake_logs_with_holes', 'Logs with LSNs missing in the table.', status.logsWithHoles),
    one('gauge', 'lake_files', 'Data files of the table.', status.files),
    one('gauge', 'lake_garbage_files', 'Files that nothing reads, and that are not deleted yet.', status.garbage),
  ]
}

function one(type: Metric['type'], name: string, help: string, value: number): Metric {
  return { name, help, type, samples: [{ value }] }
}
