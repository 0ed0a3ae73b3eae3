export { type OutboxCalls, type OutboxHolder, outboxRoutes } from './outbox-routes.ts'
