// The schema of the stream in Basin Pipelines (Cloudflare Pipelines), made from the schema of the records that we send.

import * as z from 'zod'
import { eventRecordSchema } from '../src/event/record.ts'
import { eventFields } from '../src/event/unified-event.ts'
import type { StreamField, StreamSchema } from '../src/testing/stream-fields.ts'

/** @throws {Error} for a field of a type that no column was chosen for. */
export function createStreamSchema(): StreamSchema {
  const { properties = {}, required = [] } = z.toJSONSchema(eventRecordSchema, {
    // `before`, `after` and `data` check themselves, which JSON Schema has no words for: they come out as `{}`.
    unrepresentable: 'any',
    // A time is a string like any other there.
    override: ({ zodSchema, jsonSchema }) => {
      if (zodSchema === eventFields.timestamp) jsonSchema.format = 'date-time'
    },
  })
  return {
    fields: Object.entries(properties).map(([name, property]) =>
      createField(name, typeof property === 'boolean' ? {} : property, required.includes(name)),
    ),
  }
}

function createField(name: string, { type, format }: z.core.JSONSchema.JSONSchema, required: boolean): StreamField {
  // Microseconds are what the table keeps, and what a record's timestamp may have at most.
  if (format === 'date-time') return { name, type: 'timestamp', unit: 'microsecond', required }
  if (type === 'string') return { name, type: 'string', required }
  if (type === 'integer') return { name, type: 'int64', required }
  if (type === 'object' || type === undefined) return { name, type: 'json', required }
  throw new Error(`${name}: there is no column type for ${String(type)} yet; choose one here`)
}
