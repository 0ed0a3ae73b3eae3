// Where subscriptions deliver to: other objects, queues, pipelines and webhooks.

export type { Delivery, Progress, Target } from '../pipeline/target.ts'
export { toObject, toPipeline, toQueue } from './bindings.ts'
export { toWebhook, type WebhookOptions } from './webhook.ts'
