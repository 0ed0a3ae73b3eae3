// A script as it comes out of a file.

import * as z from 'zod'
import type { Script } from './script.ts'

const who = z.string()
const ms = z.number()
const emission = z.object({ n: z.int(), by: z.enum(['emit', 'store', 'poison']) })
const block = z.object({
  kind: z.enum(['sync', 'async', 'platform']),
  get does() {
    return z.array(z.union([emission, block]))
  },
  fails: z.boolean(),
})
const work = z.union([block, z.object({ kind: z.literal('captured'), ns: z.array(z.int()) })])
const fate = z.union([
  z.object({ do: z.enum(['lose the request', 'hang', 'lose the answer', 'double', 'kill the caller']) }),
  z.object({ do: z.literal('delay'), ms }),
])
const happening = z.discriminatedUnion('do', [
  z.object({ do: z.literal('write'), who, work }),
  z.object({
    do: z.enum(['crash', 'evict', 'lose the alarm', 'delete all', 'pause', 'resume', 'flush', 'remember', 'restore']),
    who,
  }),
  z.object({ do: z.literal('emit'), ns: z.array(z.int()) }),
  z.object({ do: z.literal('crash all') }),
  z.object({ do: z.literal('replay'), who, from: z.int(), to: z.int() }),
  z.object({ do: z.literal('set an alarm'), who, inMs: ms }),
  z.object({ do: z.literal('meet'), way: z.string(), callsBefore: z.int(), fate }),
  z.object({ do: z.literal('break'), way: z.string(), ms }),
  z.object({ do: z.literal('set the clock'), byMs: ms }),
  z.object({ do: z.literal('set its clock'), who, aheadMs: ms }),
  z.object({ do: z.literal('slow disk'), who, ms }),
  z.object({ do: z.literal('copy'), who, to: z.string() }),
])

export const scriptSchema: z.ZodType<Script> = z.object({
  seed: z.int(),
  objects: z.array(z.string()),
  steps: z.array(z.intersection(z.object({ atMs: ms }), happening)),
})
