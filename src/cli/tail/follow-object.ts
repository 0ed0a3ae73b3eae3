// Follows the log of one object over HTTP, as server-sent events, across disconnections: each event once, in order.

import { setTimeout as pause } from 'node:timers/promises'
import { EventSourceParserStream } from 'eventsource-parser/stream'
import * as z from 'zod'
import { CDCError, messageOf } from '../../error.ts'
import { parseJSON } from '../../event/json.ts'
import type { CLOSE_CODES } from '../../tail/messages.ts'
import { RefusedError, type Target, type WorkerClient } from '../worker.ts'

/** From one attempt to the next, in milliseconds: twice as long each time, until something comes. */
const RETRY_MS = 500
const RETRY_MS_MAX = 30_000

/** After these a client may come again. Others would be closed for the same reason again. */
const PASSING: readonly number[] = [
  4408 satisfies (typeof CLOSE_CODES)['slow'],
  4503 satisfies (typeof CLOSE_CODES)['unavailable'],
]
const eventShape = z.looseObject({ lsn: z.int(), type: z.string(), timestamp: z.string() })
const beganShape = z.object({ epoch: z.string() })
const closedShape = z.object({ code: z.int(), reason: z.string() })

/** An event, with all of its fields. */
type FollowedEvent = z.infer<typeof eventShape>

export interface Following {
  readonly client: WorkerClient
  readonly target: Target
  /** Where to begin, and which events: parameters of the route. */
  readonly query: Readonly<Record<string, string>>
  readonly signal: AbortSignal
  readonly note: (text: string) => void
}

/** What comes, one by one. `began` is the epoch of a log that begins anew. */
export type Followed = { readonly event: FollowedEvent } | { readonly began: string }

/** @throws {RefusedError} if the Worker refuses; {CDCError} if the log can't be followed from there. */
export async function* followObject({ client, target, query, signal, note }: Following): AsyncGenerator<Followed> {
  let cursor: string | undefined
  for (let delayMs = RETRY_MS; !signal.aborted; delayMs = Math.min(RETRY_MS_MAX, delayMs * 2)) {
    try {
      const body = await client.tail(target, { query, cursor, signal })
      for await (const message of readMessages(body)) {
        delayMs = RETRY_MS / 2
        cursor = message.id ?? cursor
        if (message.event === 'closed') requirePassing(closedShape.parse(parseJSON(message.data)))
        else if (message.event === 'began') yield { began: beganShape.parse(parseJSON(message.data)).epoch }
        else if (message.event === undefined) yield { event: eventShape.parse(parseJSON(message.data)) }
      }
      note(`the connection ended; it continues after ${cursor ?? 'what comes next'}`)
    } catch (error) {
      if (signal.aborted) break
      if (error instanceof CDCError || (error instanceof RefusedError && !error.retryable)) throw error
      note(`${messageOf(error)}; trying again`)
    }
    await pause(delayMs, undefined, { signal }).catch(() => undefined)
  }
  if (cursor !== undefined) note(`to continue: --after ${cursor}`)
}

function readMessages(body: ReadableStream<Uint8Array<ArrayBuffer>>) {
  return body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream())
}

/** @throws {CDCError} if a tail has ended for good. A code below has nothing to do with the log. */
function requirePassing({ code, reason }: z.infer<typeof closedShape>): void {
  if (code >= 4_400 && !PASSING.includes(code)) throw new CDCError('not-found', `the tail ended: ${reason} (${code})`)
}
