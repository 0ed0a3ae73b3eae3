// The schema of the stream in Basin Pipelines (Cloudflare Pipelines), derived from the schema of the records.

import * as z from 'zod'
import { eventRecordSchema } from '../src/event/record.ts'
import { eventFields } from '../src/event/unified-event.ts'
import type { StreamField, StreamSchema } from '../src/testing/stream-fields.ts'

/** @throws {Error} for a field whose type has no column type yet. */
export function createStreamSchema(): StreamSchema {
  const { properties = {}, required = [] } = z.toJSONSchema(eventRecordSchema, {
    // `before`, `after` and `data` have checks that JSON Schema cannot express: they become `{}`.
    unrepresentable: 'any',
    // There a time is a plain string.
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
  // The table keeps microseconds, and a record's timestamp has no finer unit.
  if (format === 'date-time') return { name, type: 'timestamp', unit: 'microsecond', required }
  if (type === 'string') return { name, type: 'string', required }
  if (type === 'integer') return { name, type: 'int64', required }
  if (type === 'object' || type === undefined) return { name, type: 'json', required }
  throw new Error(`${name}: there is no column type for ${String(type)} yet; choose one here`)
}
