// The Worker under test: agents that are asked for jobs and called back for each, by whichever of three ways.

import { Agent } from 'agents'
import { ExactlyOnceContext } from 'durable-outbox'
import type { Lake } from 'durable-outbox/lake'
import { Hono } from 'hono'
import { type Job, jobSchema, type Report } from './job.ts'

export { Lake, LakeTable } from 'durable-outbox/lake'

interface Bindings {
  CLERKS: DurableObjectNamespace<Clerk>
  LAKE: Service<Lake>
}

export class Clerk extends Agent<Cloudflare.Env, { jobs: number }> {
  override initialState = { jobs: 0 }

  readonly cdc = new ExactlyOnceContext(this.ctx, {
    source: 'Agent/clerk',
    onAlarm: (id) => this.carryOut({ id }),
    baseAlarm: () => super.alarm(),
  })

  constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
    super(ctx, env)
    ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS jobs (id TEXT PRIMARY KEY, runs INTEGER)')
  }

  override alarm(info?: AlarmInvocationInfo): Promise<void> {
    return this.cdc.alarm(info)
  }

  async ask({ id, way, seconds }: Job): Promise<void> {
    this.cdc.transactionSync((tx) => {
      this.ctx.storage.sql.exec('INSERT INTO jobs VALUES (?, 0)', id)
      tx.emit({ type: 'Job.asked', data: { id } })
    })
    this.setState({ jobs: this.state.jobs + 1 })
    if (way === 'schedule') await this.schedule(seconds, 'carryOut', { id })
    else if (way === 'queue') await this.queue('carryOut', { id })
    else this.cdc.alarms.set(id, Date.now() + seconds * 1_000)
  }

  /** Called back by the SDK or by the outbox. Both promise at least once, so each run is an event of its own. */
  carryOut({ id }: { id: string }): void {
    this.cdc.transactionSync((tx) => {
      const { runs } = this.ctx.storage.sql
        .exec<{ runs: number }>('UPDATE jobs SET runs = runs + 1 WHERE id = ? RETURNING runs', id)
        .one()
      tx.emit({ type: 'Job.carriedOut', data: { id, run: runs } })
    })
  }

  report(): Report {
    const jobs = this.ctx.storage.sql.exec<{ id: string; runs: number }>('SELECT id, runs FROM jobs').toArray()
    const { pendingEvents, deadLetters } = this.cdc.outbox.stats()
    return {
      asked: jobs.map(({ id }) => id),
      runs: Object.fromEntries(jobs.map(({ id, runs }) => [id, runs])),
      stateJobs: this.state.jobs,
      pendingEvents,
      deadLetters,
    }
  }
}

const app = new Hono<{ Bindings: Bindings }>()

app.get('/', (c) => c.text('up'))
app.post('/clerks/:name', async (c) => {
  await c.env.CLERKS.getByName(c.req.param('name')).ask(jobSchema.parse(await c.req.json()))
  return c.json('asked')
})
app.get('/clerks/:name', async (c) => c.json(await c.env.CLERKS.getByName(c.req.param('name')).report()))
app.get('/lake', async (c) => c.json(await c.env.LAKE.status()))
app.onError((error, c) => c.text(`${error.name}: ${error.message}`, 500))

export default app
