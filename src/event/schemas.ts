// The tables of fields as zod schemas, for users who check events with zod. No other file of ours imports this one.

import * as z from 'zod'
import type { Fields, IfRequired } from './fields.ts'
import { asProblem, type Kind, type Wrong } from './kinds.ts'
import { recordFields } from './record.ts'
import { unifiedEventFields } from './unified-event.ts'

export const unifiedEventSchema = z.strictObject(shapeOf(unifiedEventFields))

/** What a pipeline receives for each event. */
export const eventRecordSchema = z.object(shapeOf(recordFields)).check(({ value, issues }) => {
  report(recordFields.rule(value), value, issues)
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
    .check(({ value, issues }) => report(kind.problem(value), value, issues))
    .meta(kind.json)
}

function report(wrong: Wrong | undefined, input: unknown, issues: z.core.$ZodRawIssue[]): void {
  if (wrong === undefined) return
  const { path, message } = asProblem(wrong)
  issues.push({ code: 'custom', path: [...path], message, input })
}
