import {
  type CommittedEvent,
  type EventRecord,
  eventRecordSchema,
  type StoreType,
  type UnifiedEvent,
  unifiedEventSchema,
} from 'durable-outbox'
import { describe, expect, expectTypeOf, it } from 'vitest'
import * as z from 'zod'

/** The interface as the project's first document prints it. */
interface SeedEvent {
  id: string
  type: string
  timestamp: string
  ns: string
  correlationId?: string

  op?: 'c' | 'u' | 'd' | 'r'
  store?: StoreType
  table?: string
  key?: string
  before?: Record<string, unknown>
  after?: Record<string, unknown>
  txid?: string
  lsn?: number

  actor?: string
  data?: Record<string, unknown>
  visibility?: 'user' | 'team' | 'public'

  _meta?: {
    schemaVersion: number
    source: string
    retries?: number
  }
}

describe('UnifiedEvent', () => {
  it("is the first document's interface, field for field", () => {
    expectTypeOf<UnifiedEvent>().toEqualTypeOf<SeedEvent>()
    expectTypeOf<StoreType>().toEqualTypeOf<
      'document' | 'graph' | 'relational' | 'columnar' | 'timeseries' | 'vector'
    >()
    expectTypeOf<CommittedEvent>().toExtend<SeedEvent>()
  })

  it('is checked by its schema', () => {
    const event: SeedEvent = {
      id: '01ARZ3NDEKTSV4RRFFQ69G5FAV',
      type: 'cdc.insert',
      timestamp: '2026-11-22T08:30:00.000Z',
      ns: 'startups.studio',
      op: 'c',
      after: { name: 'Alice' },
      _meta: { schemaVersion: 1, source: 'DO/customers' },
    }
    expect(unifiedEventSchema.parse(event)).toEqual(event)
    expect(unifiedEventSchema.safeParse({ ...event, unknown: 1 }).success).toBe(false)
    expect(unifiedEventSchema.safeParse({ ...event, ns: undefined }).success).toBe(false)
  })

  it('has a schema of its own type, which zod can describe, like the record', () => {
    expectTypeOf<z.infer<typeof unifiedEventSchema>>().toEqualTypeOf<UnifiedEvent>()
    expectTypeOf<z.infer<typeof eventRecordSchema>>().toEqualTypeOf<EventRecord>()
    const { properties } = z.toJSONSchema(eventRecordSchema, { unrepresentable: 'any' })
    expect(properties).toMatchObject({
      type: { type: 'string', maxLength: 1_024 },
      lsn: { type: 'integer', minimum: 1 },
    })
  })
})
