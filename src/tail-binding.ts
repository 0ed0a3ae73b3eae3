// Where the tail of an object is: a Durable Object of the class `OutboxTail`, which has the object's id as its name.

import { env } from 'cloudflare:workers'
import { CDCError } from './error.ts'

/** The tail of an object, as its stub has it. */
export interface TailStub {
  /** Tells it that the log has grown. @returns whether anybody follows the log. */
  poke(): Promise<boolean>
  fetch(request: Request): Promise<Response>
}

interface TailNamespace {
  getByName(name: string): TailStub
  jurisdiction(jurisdiction: string): TailNamespace
}

/** @throws {CDCError} `invalid-config` if the binding `OUTBOX_TAIL` is missing. */
export function tailOf(id: DurableObjectId): TailStub {
  const bound: unknown = 'OUTBOX_TAIL' in env ? env.OUTBOX_TAIL : undefined
  if (!isNamespace(bound))
    throw new CDCError(
      'invalid-config',
      'tail: there is no binding OUTBOX_TAIL; export OutboxTail from durable-outbox/tail in the Worker, and bind it in the wrangler configuration',
    )
  // What the events of an object pass through has to stay where the object has to.
  const place = id.jurisdiction === undefined ? bound : bound.jurisdiction(id.jurisdiction)
  return place.getByName(id.toString())
}

function isNamespace(candidate: unknown): candidate is TailNamespace {
  return typeof candidate === 'object' && candidate !== null && 'getByName' in candidate
}
