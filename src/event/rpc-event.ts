import type { CommittedEvent } from './unified-event.ts'

/** A JSON object, as a type that RPC accepts: it refuses `unknown`, and a recursive type is too deep for it. */
type JSONObject = Record<string, string | number | boolean | null | object>

/** An event as it goes over RPC. */
export type RPCEvent = Omit<CommittedEvent, 'before' | 'after' | 'data'> & {
  before?: JSONObject
  after?: JSONObject
  data?: JSONObject
}
