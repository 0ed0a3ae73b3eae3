// Targets that a Worker has as bindings.

import { CDCError } from '../../error.ts'
import type { CommittedRecord } from '../../event/record.ts'
import { utf8Bytes } from '../../event/utf8.ts'
import type { Pipeline } from '../../pipeline/pipeline.ts'
import type { Delivery, Target } from '../../pipeline/target.ts'

/** Each object of a delivery is called once, so that this is also the number of calls at most. */
const OBJECT_EVENTS_MAX = 100
const DELIVERY_BYTES_MAX = 1_000_000
const PIPELINE_EVENTS_MAX = 1_000

/** Cloudflare Queues: 100 messages and 256 KB in a `sendBatch`, with about 100 bytes of their own each, and 128 KB in a message. */
const QUEUE_MESSAGES_MAX = 100
const QUEUE_BATCH_BYTES_MAX = 240_000
const QUEUE_MESSAGE_BYTES_MAX = 127_000

/**
 * A method of other objects, which processes what it is given with `ctx.processEach`:
 * `toObject((event) => event.ns, (object, delivery) => env.WAREHOUSE.getByName(object).receive(delivery))`.
 *
 * @param object the name of the object, or a function of an event that returns it.
 * @param deliver calls the object of that name.
 */
export function toObject(
  object: string | ((event: CommittedRecord) => string),
  deliver: (object: string, delivery: Delivery) => unknown,
): Target {
  const nameOf = typeof object === 'string' ? () => object : object
  return {
    maxEvents: OBJECT_EVENTS_MAX,
    maxBytes: DELIVERY_BYTES_MAX,
    async deliver(delivery) {
      const shares = Map.groupBy(delivery.records, nameOf)
      await Promise.all(Array.from(shares, ([name, records]) => deliver(name, { ...delivery, records })))
    },
  }
}

/** What is used here of a queue's binding. */
interface QueueProducer {
  sendBatch(messages: Iterable<{ body: CommittedRecord; contentType: 'json' }>): Promise<unknown>
}

/** A queue: each event is a message, whose body is its record. Its consumer may get it again, and in another order. */
export function toQueue(queue: QueueProducer): Target {
  return {
    maxEvents: QUEUE_MESSAGES_MAX,
    maxBytes: QUEUE_BATCH_BYTES_MAX,
    async deliver({ records }) {
      const index = records.findIndex((record) => utf8Bytes(JSON.stringify(record)) > QUEUE_MESSAGE_BYTES_MAX)
      if (index >= 0)
        throw new CDCError('event-too-large', `a message of a queue has at most ${QUEUE_MESSAGE_BYTES_MAX} bytes`, {
          index,
        })
      await queue.sendBatch(records.map((body) => ({ body, contentType: 'json' })))
    },
  }
}

/** A pipeline: whatever has `send(records)`, such as a second one of Basin Pipelines (Cloudflare Pipelines). */
export function toPipeline(pipeline: Pipeline): Target {
  return {
    maxEvents: PIPELINE_EVENTS_MAX,
    maxBytes: DELIVERY_BYTES_MAX,
    deliver: ({ records }) => pipeline.send(records),
  }
}
