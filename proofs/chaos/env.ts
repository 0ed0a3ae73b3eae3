import type { Lake, LakeEnv } from 'durable-outbox/lake'
import type { FaultLog } from './fault-log.ts'

/** What the objects and the pipeline use of the Worker's `env`. */
export interface ChaosEnv extends LakeEnv {
  SEED: string
  /** How many times the runtime was started, so that each start has its own sequence of failures. */
  LIFE: string
  /** From this life on, clocks are right, and objects keep what they have delivered. */
  CALM_FROM: string
  ADMIN_TOKEN: string
  /** How many times it will be killed. */
  KILLS: string
  /** How many shards the lake has in most lives. */
  SHARDS: string
  FAULT_LOG: DurableObjectNamespace<FaultLog>
  LAKE: Service<Lake>
}
