// How tests reach their objects: each has its own name, and only what arrives at the pipeline counts.

import { env } from 'cloudflare:workers'
import { runInDurableObject } from 'cloudflare:test'
import type { EventRecord } from 'durable-outbox'
import { acceptedRecords } from 'durable-outbox/testing'
import type { Notes } from './worker.ts'

/** Runs code inside an object, as one of its requests. */
export function inNotes<T>(name: string, run: (notes: Notes) => T | Promise<T>): Promise<T> {
  return runInDurableObject<Notes, T>(env.NOTES.getByName(name), run)
}

/** Delivers everything that is pending. @returns all records that the object's pipeline has accepted. */
export async function drain(name: string): Promise<EventRecord[]> {
  using outbox = await env.NOTES.getByName(name).outbox
  for (let flushes = 0; flushes < 10; flushes++)
    if ((await outbox.flush()).pendingEvents === 0) return acceptedRecords(name)
  throw new Error(`${name}: events are pending after 10 flushes`)
}

/** The code and message of the error that this throws or rejects with. */
export async function failureOf(run: () => unknown): Promise<{ code?: string; message: string }> {
  try {
    await run()
  } catch (error) {
    if (error instanceof Error) return { message: error.message, ...('code' in error && { code: String(error.code) }) }
    throw error
  }
  throw new Error('it should have failed, and did not')
}
