// What events and records are, said once more in the words of zod, to hold the tables of fields against.

import * as z from 'zod'
import { isCleanText, jsonProblem } from '../../src/event/json.ts'

const name = z.string().min(1).max(1_024).refine(isCleanText)
const count = z.int().positive()
const jsonObject = z.custom<object>(
  (value) => typeof value === 'object' && value !== null && !Array.isArray(value) && jsonProblem(value) === undefined,
)
export const timestampSchema = z
  .string()
  .regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$/)
  .refine((text) => !Number.isNaN(Date.parse(text)))

const content = {
  table: name.optional(),
  key: name.optional(),
  before: jsonObject.optional(),
  after: jsonObject.optional(),
  actor: name.optional(),
  data: jsonObject.optional(),
}

export const givenEventSchema = z.strictObject({
  ...content,
  id: z.ulid().optional(),
  type: name.optional(),
  timestamp: timestampSchema.optional(),
  correlationId: name.optional(),
  op: z.enum(['c', 'u', 'd', 'r']).optional(),
  store: z.enum(['document', 'graph', 'relational', 'columnar', 'timeseries', 'vector']).optional(),
  visibility: z.enum(['user', 'team', 'public']).optional(),
})

export const recordSchema = z
  .object({
    ...content,
    key: z.string().min(1).max(2_048).refine(isCleanText).optional(),
    id: z.ulid(),
    type: name,
    timestamp: timestampSchema,
    ns: name,
    source: name,
    epoch: z.ulid().optional(),
    lsn: count.optional(),
    txid: name.optional(),
    correlation_id: name.optional(),
    op: name.optional(),
    store: name.optional(),
    visibility: name.optional(),
    _meta: z.looseObject({
      schemaVersion: count,
      source: name,
      epoch: z.ulid().optional(),
      retries: z.int().nonnegative().optional(),
    }),
  })
  .refine(({ epoch, lsn, txid }) => new Set([epoch, lsn, txid].map((field) => field === undefined)).size === 1)
