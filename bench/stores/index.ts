import type { StoreContext } from 'durable-outbox'
import { documentLoad } from './document.ts'
import type { StoreLoad } from './load.ts'
import { relationalLoad } from './relational.ts'

/** How each store is loaded, by its name in the figures. */
export const storeLoads: Readonly<Record<string, (ctx: StoreContext) => StoreLoad>> = {
  document: documentLoad,
  relational: relationalLoad,
}
