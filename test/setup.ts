// Runs before each file of tests in workerd. Files share a runtime, because to import the library anew for each of them
// took longer than the tests; nothing of one file is left when the next begins.

import { reset } from 'cloudflare:test'
import { ALL_NS, forget } from 'durable-outbox/testing'
import { revive } from './faulty-bucket.ts'
import { renewTable } from './lake/table.ts'
import {
  batchesOptions,
  configurations,
  lakeAlarms,
  lakeClock,
  lakeLimits,
  lakeVariables,
  tailOptions,
} from './worker.ts'

await reset()
renewTable()
forget(ALL_NS)
revive()
configurations.clear()
batchesOptions.clear()
lakeClock.aheadMs = 0
lakeAlarms.areByTest = false
tailOptions.hasLake = true
tailOptions.isLakeDown = false
tailOptions.aheadMs = 0
for (const settings of [lakeVariables, lakeLimits])
  for (const name of Object.keys(settings)) Reflect.deleteProperty(settings, name)
