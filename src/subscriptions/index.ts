// Subscriptions: an object's events, or some of them, for other objects, queues, pipelines and webhooks.

export { subscribe } from './subscriptions.ts'
export type { Subscription } from './options.ts'
export type { Filter } from './filter.ts'
export type { Delivery, Progress, Target } from '../pipeline/target.ts'
export type { SubscriptionsFactory } from '../subscription.ts'
export { toObject, toPipeline, toQueue } from './targets/bindings.ts'
export { toWebhook, type WebhookOptions } from './targets/webhook.ts'
