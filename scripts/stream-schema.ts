// The schema of the stream in Basin Pipelines (Cloudflare Pipelines), made from the fields of the records that we send.

import { type Kind, timestamp } from '../src/event/kinds.ts'
import { recordFields } from '../src/event/record.ts'
import type { StreamField, StreamSchema } from '../src/testing/stream-fields.ts'

/** @throws {Error} for a field of a kind that no column was chosen for. */
export function createStreamSchema(): StreamSchema {
  return { fields: Array.from(recordFields.kinds, ([name, kind]) => createField(name, kind)) }
}

function createField(name: string, { json, isOptional = false }: Kind): StreamField {
  const required = !isOptional
  // Microseconds are what the table keeps, and what a record's timestamp may have at most.
  if (json === timestamp.json) return { name, type: 'timestamp', unit: 'microsecond', required }
  const { type } = json
  if (type === 'string') return { name, type, required }
  if (type === 'integer') return { name, type: 'int64', required }
  if (type === 'object') return { name, type: 'json', required }
  throw new Error(`${name}: there is no column type for ${String(type)} yet; choose one here`)
}
