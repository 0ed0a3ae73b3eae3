// What the events of a log have cost in rows written, which is what the platform bills. Pure. The numbers are those that
// `npm run bench -- rows` counts.

/** An event, as far as its cost depends on it. */
export interface LoggedEvent {
  readonly txid: string
  readonly timeMs: number
  /** Whether a trigger of a captured table has written it. */
  readonly isCaptured: boolean
}

/** How the relay gathers events into batches. */
export interface Batching {
  readonly lingerMs: number
  readonly maxBatchEvents: number
}

export interface CostEstimate {
  readonly events: number
  readonly transactions: number
  readonly batches: number
  /** Rows written, beside the user's own. */
  readonly rows: number
  readonly rowsPerEvent: number
  /** US dollars. */
  readonly dollarsPerMillionEvents: number
  /** From the first event to the last. */
  readonly spanMs: number
}

/** A batch writes its range and its answer, and sets the alarm twice and deletes it once. */
const ROWS_PER_BATCH = 5
/** Delivered rows leave with their whole segment, which costs a hundredth of a row for each. */
const ROWS_PER_TRANSACTION = 1.01
/** A captured event is a row of its own, and its transaction has one more. */
const ROWS_PER_CAPTURED = 1.01
const ROWS_PER_CAPTURING_TRANSACTION = 1
/** https://developers.cloudflare.com/durable-objects/platform/pricing/ */
const DOLLARS_PER_MILLION_ROWS = 1

interface LoggedTransaction {
  readonly timeMs: number
  emitted: number
  captured: number
}

/** @param events in LSN order, at least one. */
export function estimateCost(events: readonly LoggedEvent[], batching: Batching): CostEstimate {
  const transactions = transactionsOf(events)
  const batches = countBatches(transactions, batching)
  const rows = transactions.reduce((sum, transaction) => sum + rowsOf(transaction), batches * ROWS_PER_BATCH)
  const rowsPerEvent = rows / events.length
  return {
    events: events.length,
    transactions: transactions.length,
    batches,
    rows: Math.ceil(rows),
    rowsPerEvent,
    dollarsPerMillionEvents: rowsPerEvent * DOLLARS_PER_MILLION_ROWS,
    spanMs: Math.max(0, (transactions.at(-1)?.timeMs ?? 0) - (transactions[0]?.timeMs ?? 0)),
  }
}

function transactionsOf(events: readonly LoggedEvent[]): LoggedTransaction[] {
  const transactions = new Map<string, LoggedTransaction>()
  for (const { txid, timeMs, isCaptured } of events) {
    const transaction = transactions.get(txid) ?? { timeMs, emitted: 0, captured: 0 }
    transaction[isCaptured ? 'captured' : 'emitted'] += 1
    transactions.set(txid, transaction)
  }
  return [...transactions.values()]
}

function rowsOf({ emitted, captured }: LoggedTransaction): number {
  const capturedRows = captured > 0 ? ROWS_PER_CAPTURING_TRANSACTION + captured * ROWS_PER_CAPTURED : 0
  return capturedRows + (emitted > 0 ? ROWS_PER_TRANSACTION : 0)
}

/** A batch leaves when its first event has waited for `lingerMs`, or when it is full. */
function countBatches(transactions: readonly LoggedTransaction[], { lingerMs, maxBatchEvents }: Batching): number {
  let batches = 0
  let [leavesMs, events] = [-Infinity, 0]
  for (const { timeMs, emitted, captured } of transactions) {
    events += emitted + captured
    if (timeMs < leavesMs && events <= maxBatchEvents) continue
    batches += 1
    leavesMs = timeMs + lingerMs
    events = emitted + captured
  }
  return batches
}
