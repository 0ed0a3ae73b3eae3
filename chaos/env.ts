import type { Lake } from 'durable-outbox/lake'
import type { FaultLog } from './fault-log.ts'
import type { SlowLakeTable } from './slow-lake-table.ts'
import type { Warehouse } from './warehouse.ts'

export interface ChaosEnv {
  SEED: string
  /** How often the runtime was started, so that each life has its own sequence of failures. */
  LIFE: string
  WAREHOUSES: DurableObjectNamespace<Warehouse>
  FAULT_LOG: DurableObjectNamespace<FaultLog>
  LAKE_TABLE: DurableObjectNamespace<SlowLakeTable>
  LAKE_BUCKET: R2Bucket
  LAKE: Service<Lake>
}
