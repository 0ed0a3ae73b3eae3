// Writes the SQL of migrations/ and streams/ into src as modules, because a published package has no loader for
// text files; and the schema of the stream, which follows from the schema of the records. `--check` writes nothing and
// fails where a file is not what would be made.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { StreamSchema } from '../src/testing/stream-schema.ts'
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

/**
 * The lake reads the stream's rows itself, so of `INSERT INTO sink SELECT … FROM stream` it takes the SELECT, and adds the
 * column that Basin's sink adds by itself.
 */
function streamModule(): string {
  const statement = read('streams/events.sql')
  const parts = /^(?:--.*\n|\s)*INSERT INTO \w+\s+(SELECT\b[\s\S]+\bFROM events\s*)$/.exec(statement)
  if (parts?.[1] === undefined) throw new Error('streams/events.sql must be: INSERT INTO <sink> SELECT … FROM events')
  const select = parts[1].replace(/\s+FROM events\s*$/, ',\n  __ingest_ts\nFROM events\n')
  return `${HEADER}export const SELECT_EVENTS = ${JSON.stringify(select)}\n`
}

/** One field a line, as one would write it. */
function schemaFile({ fields }: StreamSchema): string {
  const lines = fields.map((field) => `    ${JSON.stringify(field, null, 1).replaceAll(/\s*\n\s*/g, ' ')}`)
  return `{\n  "fields": [\n${lines.join(',\n')}\n  ]\n}\n`
}

function schemaModule(schema: StreamSchema): string {
  const header = '// Made by `npm run embed`; edit src/event/record.ts, not this file.\n\n'
  return `${header}import type { StreamSchema } from './stream-schema.ts'\n\nexport const EVENTS_SCHEMA: StreamSchema = ${schemaFile(schema)}`
}

const schema = createStreamSchema()
const files = {
  'src/outbox/migrations.generated.ts': migrationsModule(),
  'src/lake/stream.generated.ts': streamModule(),
  'src/testing/stream-schema.generated.ts': schemaModule(schema),
  'streams/events.schema.json': schemaFile(schema),
}

for (const [path, text] of Object.entries(files)) {
  if (!process.argv.includes('--check')) writeFileSync(join(root, path), text)
  else if (read(path) !== text) throw new Error(`${path} is out of date: run npm run embed`)
}
