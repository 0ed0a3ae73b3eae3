import type { EventRecord } from '../event/record.ts'
import { countAttempts, takeAccepted } from './received.ts'
import { importRunner } from './runner.ts'

export interface DrainOptions {
  /** After so many alarms, one more is an error. Default: 100. */
  readonly maxAlarms?: number
  /** The ns of the object, if `configure()` returns one. Default: the object's name, otherwise its id. */
  readonly ns?: string
}

/** After so many alarms without a send an object counts as idle: some of them may have run named alarms and not the relay. */
const IDLE_ALARMS = 5

/**
 * Runs the object's alarm, due or not, until none is set, or until it no longer sends: then the alarm is a named one for a
 * later time, or the relay is paused. Named alarms that are due run too.
 *
 * @returns the records that the fake pipeline accepted since the last drain of this ns, as often as they arrived.
 * @throws {CDCError} `invalid-config` outside Cloudflare's test runner.
 * @throws {Error} if batches are still sent after `maxAlarms`, for example because the pipeline always fails.
 */
export async function drain(
  stub: Pick<DurableObjectStub, 'id' | 'name'>,
  { maxAlarms = 100, ns = stub.name ?? stub.id.name ?? stub.id.toString() }: DrainOptions = {},
): Promise<EventRecord[]> {
  const { runInDurableObject } = await importRunner('drain')
  for (let alarms = 0, idle = 0; alarms <= maxAlarms; alarms++) {
    const before = countAttempts()
    if (!(await runInDurableObject(stub as DurableObjectStub, runAlarm))) return takeAccepted(ns)
    idle = countAttempts() === before ? idle + 1 : 0
    if (idle === IDLE_ALARMS) return takeAccepted(ns)
  }
  throw new Error(`drain: an alarm of ${ns} is still set after ${maxAlarms} alarms`)
}

/**
 * As `runDurableObjectAlarm` of the test runner, but for the platform's alarm also where the storage shows an object's own
 * class only its own: with the option `baseAlarm`. The platform's methods are those of the prototype.
 *
 * @returns false if no alarm is set.
 */
async function runAlarm(instance: DurableObject, { storage }: DurableObjectState): Promise<boolean> {
  const platform = Object.getPrototypeOf(storage) as DurableObjectStorage
  if ((await platform.getAlarm.call(storage)) === null) return false
  await platform.deleteAlarm.call(storage)
  await instance.alarm?.()
  return true
}
