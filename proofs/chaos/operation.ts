// What a client asks a warehouse to do, and what the warehouse records about it.

import * as z from 'zod'

const name = z.string().min(1)

const stepSchema = z.discriminatedUnion('do', [
  /** Creates the document or changes it. `bytes` is how much text it carries. */
  z.object({ do: z.literal('store'), parcel: name, bytes: z.int() }),
  z.object({ do: z.literal('remove'), parcel: name }),
  /** Plain SQL, with its event beside it. */
  z.object({ do: z.literal('count'), shelf: name, by: z.int() }),
  /** Events alone, without a change. */
  z.object({ do: z.literal('announce'), times: z.int() }),
  /** A nested transaction, which changes, emits and throws; the outer one continues without it. */
  z.object({ do: z.literal('attempt'), parcel: name, shelf: name }),
])

export const operationSchema = z.object({
  /** Chosen by the client: a repeated operation changes nothing. */
  id: name,
  isAsync: z.boolean(),
  steps: z.array(stepSchema),
  /** How many steps run before the transaction throws; their number means after everything. */
  refuseAfter: z.int().optional(),
})

/** An event that the warehouse emitted, as plain SQL records it beside the mutation. The token is unique. */
const ledgerEventSchema = z.object({
  type: z.string(),
  op: z.string().nullable(),
  table: z.string().nullable(),
  key: z.string().nullable(),
  token: z.string().nullable(),
})

/** One committed operation. `seq` is the order of commits. */
export const ledgerEntrySchema = z.object({
  seq: z.int(),
  operation: z.string(),
  events: z.array(ledgerEventSchema),
})

export const answerSchema = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('committed'), seq: z.int(), events: z.int() }),
  z.object({ outcome: z.literal('refused') }),
])

/** What a warehouse holds, and what is left in its outbox. */
export const stockSchema = z.object({
  parcels: z.array(
    z.object({
      $id: z.string(),
      $version: z.int(),
      $createdAt: z.string(),
      $updatedAt: z.string(),
      token: z.string(),
      text: z.string(),
    }),
  ),
  shelves: z.array(z.object({ shelf: z.string(), total: z.number(), token: z.string() })),
  pendingRows: z.number(),
  /** All events are valid here, so there must be none. */
  deadLetters: z.number(),
  alarm: z.number().nullable(),
})

/** What a cellar holds, and the state of its outbox. */
export const cellarReportSchema = z.object({
  bottles: z.array(z.string()),
  epoch: z.string(),
  lastLSN: z.number(),
  pendingEvents: z.number(),
  deadLetters: z.number(),
  isTakingStock: z.boolean(),
})

export type CellarReport = z.infer<typeof cellarReportSchema>
export type Step = z.infer<typeof stepSchema>
export type Operation = z.infer<typeof operationSchema>
export type LedgerEvent = z.infer<typeof ledgerEventSchema>
export type LedgerEntry = z.infer<typeof ledgerEntrySchema>
export type Answer = z.infer<typeof answerSchema>
export type Stock = z.infer<typeof stockSchema>
