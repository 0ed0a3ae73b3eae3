export { lakeRoutes, type RepairableLake } from './lake-routes.ts'
export { type OutboxCalls, type OutboxHolder, outboxRoutes } from './outbox-routes.ts'
export type { SubscriptionDelivery, SubscriptionStats } from './subscription-stats.ts'
