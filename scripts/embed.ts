// Writes the SQL of migrations/ and streams/ into src as modules, because a published package has no loader for
// text files. `--check` writes nothing and fails where a module is not what the SQL would make.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

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

/** The lake reads the stream's rows itself, so of `INSERT INTO sink SELECT … FROM stream` it takes the SELECT. */
function streamModule(): string {
  const statement = read('streams/events.sql')
  const parts = /^(?:--.*\n|\s)*INSERT INTO \w+\s+(SELECT\b[\s\S]+\bFROM events\s*)$/.exec(statement)
  if (parts?.[1] === undefined) throw new Error('streams/events.sql must be: INSERT INTO <sink> SELECT … FROM events')
  return `${HEADER}export const SELECT_EVENTS = ${JSON.stringify(parts[1])}\n`
}

const modules = {
  'src/outbox/migrations.generated.ts': migrationsModule(),
  'src/lake/stream.generated.ts': streamModule(),
}

for (const [path, text] of Object.entries(modules)) {
  if (!process.argv.includes('--check')) writeFileSync(join(root, path), text)
  else if (read(path) !== text) throw new Error(`${path} is out of date: run npm run embed`)
}
