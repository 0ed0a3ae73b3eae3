import { CDCError } from '../error.ts'
import type { EventRecord } from '../event/record.ts'
import { countAttempts, takeAccepted } from './received.ts'

export interface DrainOptions {
  /** How many alarms may run before one that is due again is an error. Default: 100. */
  readonly maxAlarms?: number
  /** The ns of the object, where `configure()` gives one. Default: the object's name, else its id. */
  readonly ns?: string
}

/** Runs without a send after which an object counts as at rest: some may have run named alarms, and not the relay. */
const IDLE_ALARMS = 5

/**
 * Runs the object's alarm, due or not yet, until none is set, or until nothing is sent any more: then what is left is a
 * named alarm of a later time, or the relay is paused. Named alarms that are due run too.
 *
 * @returns what the fake pipeline accepted since the last drain of this ns, as often as it arrived.
 * @throws {CDCError} `invalid-config` outside of Cloudflare's test runner.
 * @throws {Error} where batches are still sent after `maxAlarms`: the pipeline keeps failing, say.
 */
export async function drain(
  stub: Pick<DurableObjectStub, 'id' | 'name'>,
  { maxAlarms = 100, ns = stub.name ?? stub.id.name ?? stub.id.toString() }: DrainOptions = {},
): Promise<EventRecord[]> {
  const { runDurableObjectAlarm } = await importRunner()
  for (let alarms = 0, idle = 0; alarms <= maxAlarms; alarms++) {
    const before = countAttempts()
    if (!(await runDurableObjectAlarm(stub as DurableObjectStub))) return takeAccepted(ns)
    idle = countAttempts() === before ? idle + 1 : 0
    if (idle === IDLE_ALARMS) return takeAccepted(ns)
  }
  throw new Error(`drain: an alarm of ${ns} is still set after ${maxAlarms} alarms`)
}

/**
 * Imported only here, and only when it is used: `cloudflare:test` exists in the test runner alone, and a Worker that
 * exports `FakePipeline` loads outside of it too, under `wrangler dev` for one.
 */
async function importRunner(): Promise<typeof import('cloudflare:test')> {
  try {
    return await import('cloudflare:test')
  } catch (cause) {
    const problem = 'drain: cloudflare:test is not there; drain works inside @cloudflare/vitest-pool-workers'
    throw new CDCError('invalid-config', problem, { cause })
  }
}
