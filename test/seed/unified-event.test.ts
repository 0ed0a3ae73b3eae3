// The first document's "UnifiedEvent Format", as it is printed there.

import type { StoreType, UnifiedEvent as Ours } from 'durable-outbox'
import { describe, expectTypeOf, it } from 'vitest'

interface UnifiedEvent {
  // ===== ENVELOPE (always present) =====
  id: string // Unique event ID (ULID)
  type: string // Event type: 'Customer.created' | 'cdc.insert'
  timestamp: string // ISO 8601 timestamp
  ns: string // DO namespace (tenant identifier)
  correlationId?: string // Request correlation ID

  // ===== CDC FIELDS (for store mutations) =====
  op?: 'c' | 'u' | 'd' | 'r' // Operation: create/update/delete/read
  store?: StoreType // 'document' | 'graph' | 'relational' | etc.
  table?: string // Table/collection name
  key?: string // Primary key
  before?: Record<string, unknown> // Previous state (for u/d)
  after?: Record<string, unknown> // New state (for c/u)
  txid?: string // Transaction ID (for batched changes)
  lsn?: number // Log sequence number (ordering)

  // ===== DOMAIN EVENT FIELDS =====
  actor?: string // Who triggered this (User/alice)
  data?: Record<string, unknown> // Domain-specific payload
  visibility?: 'user' | 'team' | 'public' // Access control

  // ===== METADATA =====
  _meta?: {
    schemaVersion: number // Event schema version
    source: string // Source service/worker
    retries?: number // Retry count
  }
}

describe('the format of the first document', () => {
  it('is the format of the events, field for field', () => {
    expectTypeOf<Ours>().toEqualTypeOf<UnifiedEvent>()
  })
})
