import type { CaptureContext } from 'durable-outbox'
import { captureInsertLoad, captureUpdateLoad } from './capture.ts'
import { columnarLoad } from './columnar.ts'
import { documentLoad } from './document.ts'
import { graphLoad } from './graph.ts'
import type { StoreLoad } from './load.ts'
import { relationalLoad } from './relational.ts'
import { timeSeriesLoad } from './timeseries.ts'
import { vectorLoad } from './vector.ts'

/** How each store, and a captured table, is loaded, by its name in the figures. */
export const storeLoads: Readonly<Record<string, (ctx: CaptureContext) => StoreLoad>> = {
  document: documentLoad,
  graph: graphLoad,
  relational: relationalLoad,
  columnar: columnarLoad,
  timeseries: timeSeriesLoad,
  vector: vectorLoad,
  'capture.insert': captureInsertLoad,
  'capture.update': captureUpdateLoad,
}
