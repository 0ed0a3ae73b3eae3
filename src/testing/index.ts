export { drain, type DrainOptions } from './drain.ts'
export {
  type Calls,
  type Exploration,
  explore,
  ExploreError,
  type Outcome as ExploreOutcome,
  type Script,
} from './explore.ts'
export { FakePipeline, fakePipeline, HANG_MS, type Outcome, REQUEST_BYTES_MAX } from './fake-pipeline.ts'
export { ALL_NS, type Failure, type Fate, nextFates, type NsChoice, setFate } from './fate.ts'
export { assertLog, landed, LogError, type LogExpectation } from './log.ts'
export {
  acceptedBatches,
  acceptedRecords,
  attemptedBatches,
  type DroppedRecord,
  droppedRecords,
  forget,
} from './received.ts'
export type { DropKind, Misfit } from './stream-schema.ts'
