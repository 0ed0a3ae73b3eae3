export { lakeRoutes, type RepairableLake } from './lake-routes.ts'
export type { OutboxCalls, OutboxHolder } from './outbox-calls.ts'
export { outboxRoutes } from './outbox-routes.ts'
export type { SubscriptionDelivery, SubscriptionStats } from './subscription-stats.ts'
