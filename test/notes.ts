// How tests reach their objects: each has a name of its own, and only what comes out at the pipeline counts.

import { env } from 'cloudflare:workers'
import { runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import type { EventRecord } from 'durable-outbox'
import { acceptedRecords } from './fake-pipeline.ts'
import type { Notes } from './worker.ts'

/** Runs code inside an object, as one of its requests. */
export function inNotes<T>(name: string, run: (notes: Notes) => T | Promise<T>): Promise<T> {
  return runInDurableObject<Notes, T>(env.NOTES.getByName(name), run)
}

/** Runs the object's alarm until none is due, and gives all that its pipeline has accepted. */
export async function drain(name: string): Promise<EventRecord[]> {
  const stub = env.NOTES.getByName(name)
  for (let alarms = 0; alarms < 100; alarms++) if (!(await runDurableObjectAlarm(stub))) return acceptedRecords(name)
  throw new Error(`${name}: an alarm is due after 100 alarms`)
}

/** What an error says, wherever it was thrown. */
export async function failureOf(run: () => unknown): Promise<{ code?: string; message: string }> {
  try {
    await run()
  } catch (error) {
    if (error instanceof Error) return { message: error.message, ...('code' in error && { code: String(error.code) }) }
    throw error
  }
  throw new Error('it did not fail')
}
