// `durable-outbox/tail`: the log of an object, live, from any LSN.

export { type CloseReason, CLOSE_CODES, type TailMessage } from './messages.ts'
export { OutboxTail } from './outbox-tail.ts'
export { type TailedObject, tailRoutes } from './tail-routes.ts'
