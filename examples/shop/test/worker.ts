// The objects under test: their alarms run when a test runs them, and their pipeline fails when a test wants it.

import { fakePipeline } from 'durable-outbox/testing'
import * as production from '../src/shop.ts'
import { Warehouse as ProductionWarehouse } from '../src/warehouse.ts'

export { FakePipeline } from 'durable-outbox/testing'

const NEVER_MS = 3_600_000
const options = {
  lingerMs: NEVER_MS,
  minRetryDelayMs: NEVER_MS,
  maxRetryDelayMs: NEVER_MS,
  recoveryMs: NEVER_MS,
  sendTimeoutMs: 100,
}

export class Shop extends production.Shop {
  protected override configure() {
    return { ...super.configure(), ...options, pipeline: fakePipeline() }
  }
}

export class Warehouse extends ProductionWarehouse {
  protected override configure() {
    return { ...super.configure(), ...options, pipeline: fakePipeline() }
  }
}

export default { fetch: () => new Response(null, { status: 404 }) }
