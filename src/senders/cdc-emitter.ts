// Events for a pipeline without an outbox: for Workers, which have no database, and for events whose loss is acceptable.

import { CDCError } from '../error.ts'
import { checkedAttribution, encodeEvent, type EventContent } from '../event/create-event.ts'
import type { Emitted, EventTypes } from '../event/event-types.ts'
import { createIdFactory } from '../event/id.ts'
import { Fields } from '../event/fields.ts'
import { name, whole } from '../event/kinds.ts'
import { type EventRecord, toRecord } from '../event/record.ts'
import { type Attribution, type EventInput, SCHEMA_VERSION, type UnifiedEvent } from '../event/unified-event.ts'
import { utf8Bytes } from '../event/utf8.ts'
import { retryDelayMs } from '../pipeline/backoff.ts'
import { type Failure, readFailure } from '../pipeline/failure.ts'
import { BATCH_BYTES_MAX, BATCH_EVENTS_MAX } from '../pipeline/limits.ts'
import type { Pipeline } from '../pipeline/pipeline.ts'
import { sendWithin } from '../pipeline/send-within.ts'

/** Options of a `CDCEmitter`, with the actor and the correlation id of events that have none. Times are in milliseconds. */
export interface CDCEmitterOptions<Types = unknown> extends Attribution {
  /** The types of events that are emitted, as `defineEvents` returns them. No other event is emitted then. */
  readonly events?: Types & EventTypes
  /** The tenant that the events belong to. */
  readonly ns: string
  /** What the events come from, such as `Worker/signup`. */
  readonly source: string
  /** How long a call may retry. Default: 30,000. */
  readonly deadlineMs?: number
  /** How long one attempt waits for an answer. Default: 10,000. */
  readonly sendTimeoutMs?: number
  /** The clock, in milliseconds since 1970. */
  readonly now?: () => number
  /** A number in [0, 1), for the jitter of retries. */
  readonly random?: () => number
  /** Waits between two attempts. */
  readonly wait?: (ms: number) => Promise<void>
}

/** An event with the id and the time under which it was sent. */
type UnsentEvent = EventInput & Required<Pick<EventInput, 'id' | 'timestamp'>>

/** Thrown if the pipeline did not accept events in time. */
export class UnsentError extends CDCError {
  /**
   * The events that the pipeline may not have, with the ids and times under which they were sent:
   * `emitBatch(error.unsent)` sends the same events again.
   */
  readonly unsent: readonly UnsentEvent[]

  constructor({ name, reason }: Failure, unsent: readonly UnsentEvent[]) {
    const advice = name === 'failed' ? 'emit `unsent` again later' : 'it will never accept the first of them'
    super('pipeline-failed', `emit: the pipeline did not accept ${unsent.length} events: ${reason}; ${advice}`, {
      retryable: name === 'failed',
    })
    this.unsent = unsent
  }
}

type SentEvent = UnifiedEvent & Pick<EventRecord, '_meta'>

const RETRY_DELAYS = { minRetryDelayMs: 100, maxRetryDelayMs: 5_000 }

const optionFields = new Fields<
  Pick<CDCEmitterOptions, 'ns' | 'source'> & { deadlineMs: number; sendTimeoutMs: number }
>({
  ns: name,
  source: name,
  deadlineMs: whole({ from: 0 }),
  sendTimeoutMs: whole(),
})

/**
 * Sends events straight to a pipeline: checked and completed as an outbox does it, in batches within its limits, each
 * retried within a deadline.
 *
 * It promises less than an outbox. An event is lost if the Worker ends before the pipeline has it, and nothing ties it to a
 * change of data. It arrives twice if an answer was lost: the lake then lands it once, by its id, Basin Pipelines (Cloudflare
 * Pipelines) twice. Emit events that must not be lost inside `ctx.transaction`.
 */
export class CDCEmitter<Types = unknown> {
  readonly #pipeline: Pipeline
  readonly #options: Required<Omit<CDCEmitterOptions, keyof Attribution | 'events'>> &
    Attribution &
    Pick<CDCEmitterOptions<Types>, 'events'>
  readonly #createId: () => string

  /** @throws {CDCError} `invalid-config`, naming the option; `event-invalid` for a wrong `actor` or `correlationId`. */
  constructor(pipeline: Pipeline, options: CDCEmitterOptions<Types>) {
    this.#pipeline = pipeline
    this.#options = {
      deadlineMs: 30_000,
      sendTimeoutMs: 10_000,
      now: Date.now,
      random: Math.random,
      wait: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      ...options,
    }
    optionFields.parse(this.#options, 'CDCEmitter', 'invalid-config')
    checkedAttribution(this.#attribution())
    this.#createId = createIdFactory(this.#options.now)
  }

  /** The same emitter for the events of one request. */
  withCorrelation(correlationId: string): CDCEmitter<Types> {
    return new CDCEmitter(this.#pipeline, { ...this.#options, correlationId })
  }

  /**
   * Sends an event, and resolves once the pipeline has it.
   *
   * @returns the event as it was sent.
   * @throws {CDCError} `event-invalid` or `event-too-large`; `UnsentError` if the pipeline did not accept it in time.
   */
  async emit(event: Emitted<Types>): Promise<UnifiedEvent> {
    const [sent] = await this.emitBatch([event])
    if (sent === undefined) throw new Error('a batch of one event has one')
    return sent
  }

  /** Sends events in order. None is sent unless all are valid. @throws {CDCError} like `emit`. */
  async emitBatch(inputs: readonly Emitted<Types>[] | UnsentError['unsent']): Promise<UnifiedEvent[]> {
    const { deadlineMs, now } = this.#options
    const events = inputs.map((input) => this.#complete(input))
    const endMs = now() + deadlineMs
    let sent = 0
    for (const batch of cutBatches(events.map(toRecord))) {
      const failure = await this.#deliver(batch, endMs)
      if (failure !== undefined) throw new UnsentError(failure, events.slice(sent).map(toInput))
      sent += batch.length
    }
    return events
  }

  #attribution(): Attribution {
    const { actor, correlationId, traceparent } = this.#options
    return {
      ...(actor !== undefined && { actor }),
      ...(correlationId !== undefined && { correlationId }),
      ...(traceparent !== undefined && { traceparent }),
    }
  }

  #complete(input: Emitted<Types> | UnsentEvent): SentEvent {
    const { ns, source, now, events } = this.#options
    // Whatever its type claims, it is checked here.
    const { json } = encodeEvent(input as EventInput, this.#createId, this.#attribution(), events)
    const { dataVersion, traceparent, ...content } = JSON.parse(json) as EventContent
    const timestamp = content.timestamp ?? new Date(now()).toISOString()
    const _meta = {
      schemaVersion: SCHEMA_VERSION,
      source,
      ...(dataVersion !== undefined && { dataVersion }),
      ...(traceparent !== undefined && { traceparent }),
    }
    return { ...content, timestamp, ns, _meta }
  }

  /** @returns why the pipeline did not accept it; undefined if it did. */
  async #deliver(batch: EventRecord[], endMs: number): Promise<Failure | undefined> {
    const { now, random, wait } = this.#options
    for (let failures = 0; ;) {
      const failure = await this.#attempt(
        failures === 0 ? batch : batch.map((record) => retried(record, failures)),
        endMs,
      )
      if (failure?.name !== 'failed') return failure
      failures += 1
      const delayMs = Math.max(failure.retryAfterMs, retryDelayMs(failures, random(), RETRY_DELAYS))
      if (now() + delayMs >= endMs) return failure
      await wait(delayMs)
    }
  }

  async #attempt(batch: EventRecord[], endMs: number): Promise<Failure | undefined> {
    const { sendTimeoutMs, now } = this.#options
    const timeoutMs = Math.max(1, Math.min(sendTimeoutMs, endMs - now()))
    try {
      await sendWithin(this.#pipeline, batch, { timeoutMs, batch: `emit: ${batch.length} events` })
      return undefined
    } catch (error) {
      return readFailure(error)
    }
  }
}

/** Cuts records into batches within a pipeline's limits. */
function cutBatches(records: readonly EventRecord[]): EventRecord[][] {
  const batches: EventRecord[][] = []
  let bytes = 0
  for (const record of records) {
    const recordBytes = utf8Bytes(JSON.stringify(record)) + 1
    const batch = batches.at(-1)
    if (batch === undefined || batch.length === BATCH_EVENTS_MAX || bytes + recordBytes > BATCH_BYTES_MAX) {
      batches.push([record])
      bytes = recordBytes
    } else {
      batch.push(record)
      bytes += recordBytes
    }
  }
  return batches
}

function retried(record: EventRecord, retries: number): EventRecord {
  return { ...record, _meta: { ...record._meta, retries } }
}

function toInput({ ns: _ns, _meta, ...content }: SentEvent): UnsentEvent {
  return content
}
