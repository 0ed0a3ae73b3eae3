import type { Lake } from 'durable-outbox/lake'
import type { FaultLog } from './fault-log.ts'

/** What the objects and the pipeline use of the Worker's `env`. */
export interface ChaosEnv {
  SEED: string
  /** How many times the runtime was started, so that each start has its own sequence of failures. */
  LIFE: string
  /** From this life on, clocks are right, and objects keep what they have delivered. */
  CALM_FROM: string
  ADMIN_TOKEN: string
  FAULT_LOG: DurableObjectNamespace<FaultLog>
  LAKE_BUCKET: R2Bucket
  LAKE: Service<Lake>
}
