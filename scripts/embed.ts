// Writes the SQL of migrations/ and streams/ into src as modules, because a published package has no loader for text
// files, and the schema of the stream, which is derived from the schema of the records. `--check` writes nothing and fails
// if a file is out of date.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { StreamSchema } from '../src/testing/stream-fields.ts'
import { compileStream } from './compile-stream.ts'
import { createStreamSchema } from './stream-schema.ts'

const root = join(import.meta.dirname, '..')
const HEADER = '// Made by `npm run embed`; edit the SQL, not this file.\n\n'

function read(path: string): string {
  return readFileSync(join(root, path), 'utf8')
}

function migrationsModule(): string {
  const names = readdirSync(join(root, 'migrations'))
    .filter((name) => name.endsWith('.sql'))
    .toSorted()
  const entries = names.map((name) => ({ name: name.replace(/\.sql$/, ''), sql: read(`migrations/${name}`) }))
  return `${HEADER}import type { Migration } from '../sqlite/migrate.ts'\n\nexport const migrations: readonly Migration[] = ${JSON.stringify(entries, null, 2)}\n`
}

/** The lake computes its rows with the SQL of the stream, and adds the column that Basin's sink adds. */
function streamModule(): string {
  const columns = [...compileStream(read('streams/events.sql')).columns, INGEST_COLUMN]
  const lines = columns.map(({ name, expression }) => `    ${JSON.stringify(name)}: ${expression},`)
  return `${HEADER}import type { StreamEvent, StreamRow } from './stream-row.ts'

/** The row of the table that streams/events.sql makes of an event. */
export function rowOf(event: StreamEvent): StreamRow {
  return {
${lines.join('\n')}
  }
}
`
}

const INGEST_COLUMN = { name: '__ingest_ts', expression: 'event["__ingest_ts"]' }

/** One field per line, as a person would write it. */
function schemaFile({ fields }: StreamSchema): string {
  const lines = fields.map((field) => `    ${JSON.stringify(field, null, 1).replaceAll(/\s*\n\s*/g, ' ')}`)
  return `{\n  "fields": [\n${lines.join(',\n')}\n  ]\n}\n`
}

function schemaModule(schema: StreamSchema): string {
  const header = '// Made by `npm run embed`; edit src/event/record.ts, not this file.\n\n'
  return `${header}import type { StreamSchema } from './stream-fields.ts'\n\nexport const EVENTS_SCHEMA: StreamSchema = ${schemaFile(schema)}`
}

const schema = createStreamSchema()
const files = {
  'src/outbox/migrations.generated.ts': migrationsModule(),
  'src/lake/table/stream.generated.ts': streamModule(),
  'src/testing/stream-schema.generated.ts': schemaModule(schema),
  'streams/events.schema.json': schemaFile(schema),
}

for (const [path, text] of Object.entries(files)) {
  if (!process.argv.includes('--check')) writeFileSync(join(root, path), text)
  else if (read(path) !== text) throw new Error(`${path} is out of date: run npm run embed`)
}
