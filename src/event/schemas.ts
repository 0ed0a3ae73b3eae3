// The tables of fields as zod schemas, for users who check events with zod. No other file of ours imports this one.

import * as z from 'zod'
import type { Fields, IfRequired } from './fields.ts'
import type { Kind } from './kinds.ts'
import { recordFields } from './record.ts'
import { unifiedEventFields } from './unified-event.ts'

export const unifiedEventSchema = z.strictObject(shapeOf(unifiedEventFields))

/** What a pipeline receives for each event. */
export const eventRecordSchema = z.object(shapeOf(recordFields)).check(({ value, issues }) => {
  const problem = recordFields.rule(value)
  if (problem !== undefined) issues.push({ code: 'custom', ...problem, path: [...problem.path], input: value })
})

/** A schema for each property of a `T`. */
type Shape<T> = {
  [Name in keyof T]-?: IfRequired<T, Name, z.ZodType<T[Name]>, z.ZodExactOptional<z.ZodType<NonNullable<T[Name]>>>>
}

function shapeOf<T extends object>({ kinds }: Fields<T>): Shape<T> {
  const schemas = Array.from(kinds, ([name, kind]) => [
    name,
    kind.isOptional ? schemaOf(kind).exactOptional() : schemaOf(kind),
  ])
  return Object.fromEntries(schemas) as Shape<T>
}

function schemaOf(kind: Kind): z.ZodType {
  return z
    .custom()
    .check(({ value, issues }) => {
      const problem = kind.problem(value)
      if (problem !== undefined) issues.push({ code: 'custom', ...problem, path: [...problem.path], input: value })
    })
    .meta(kind.json)
}
