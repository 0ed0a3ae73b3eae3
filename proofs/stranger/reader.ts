// Somebody who reads README.md and docs/ and does what they say: the blocks are the files of a project, and the commands.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from '../harness/wrangler.ts'
import { type Block, blocksOf, moduleOf, pathOf } from './markdown.ts'
import type { Project } from './project.ts'

const GLOBALS = [
  'CDCDurableObject',
  'CDCEmitter',
  'ColumnarStore',
  'DocumentStore',
  'GraphStore',
  'RelationalStore',
  'TimeSeriesStore',
  'VectorStore',
]

/** What the text around the blocks of TypeScript has introduced: names of the package, and things of the reader's own. */
const GIVEN = `
import type { EventRecord } from 'durable-outbox'
import type { Hono } from 'hono'
declare global {
  ${GLOBALS.map((name) => `const ${name}: typeof import('durable-outbox').${name}`).join('\n  ')}
  interface Film { title: string; year: number; rating?: number; decade?: string; director: { name: string; country?: string } }
  interface Person { name: string }
  interface Flight { origin: string; delay: number }
  namespace Cloudflare { interface Env { INGEST_URL: string; INGEST_TOKEN: string; ADMIN_TOKEN: string } }
  interface Env { WAREHOUSE: DurableObjectNamespace<import('./warehouse.ts').Warehouse> }
  interface Env { PARCELS: DurableObjectNamespace<import('./parcels.ts').Parcels>; AUDIT: Queue; BILLING_SECRET: string }
  interface Env { INGEST_URL: string; INGEST_TOKEN: string; ADMIN_TOKEN: string }
  const env: Env
  const app: Hono<{ Bindings: Env }>
  const id: string
  const path: string
  const start: string
  const end: string
  const version: number
  const request: { id: string }
  const event: EventRecord
  const filmSchema: import('zod').ZodType<Film, Film>
  const personSchema: import('zod').ZodType<Person, Person>
  const lastFilmOfThePageBefore: import('durable-outbox/stores').Document<Film>
  const rows: Flight[]
  const embedding: number[]
  const query: number[]
}
`

/** The shop's, except that a block may name what it does not use. */
const TSCONFIG = {
  extends: join(ROOT, 'examples/shop/tsconfig.json'),
  compilerOptions: {
    types: ['./worker-configuration.d.ts', '@cloudflare/vitest-pool-workers/types'],
    ...Object.fromEntries(
      ['noUncheckedIndexedAccess', 'noUnusedLocals', 'noUnusedParameters'].map((name) => [name, false]),
    ),
  },
  include: ['src', 'test', '*.ts'],
}

/** All blocks, in the order in which somebody would read them. */
export function readDocumentation(): Block[] {
  const pages = readdirSync(join(ROOT, 'docs')).filter((name) => name.endsWith('.md'))
  const documents = ['README.md', ...pages.toSorted().map((name) => `docs/${name}`)]
  return documents.flatMap((document) => blocksOf(document, readFileSync(join(ROOT, document), 'utf8')))
}

/** Writes every block that is a file, and every other one of TypeScript where it finds the files that it imports. */
export function writeBlocks(blocks: readonly Block[], project: Project): void {
  project.write('tsconfig.json', JSON.stringify(TSCONFIG))
  project.write('src/given.d.ts', GIVEN)
  const written = new Map<string, Block>()
  for (const block of blocks) {
    const path = pathOf(block)
    // A later block of the same name takes its place, and it compiles all the same.
    const earlier = path === undefined ? block : written.get(path)
    if (earlier !== undefined && earlier.language === 'ts') writeModule(earlier, project)
    if (path === undefined) continue
    written.set(path, block)
    project.write(path, block.text)
  }
}

function writeModule(block: Block, project: Project): void {
  const text = moduleOf(block)
  if (text !== undefined) project.write(`src/${block.place.replaceAll(/\W/g, '-')}.ts`, text)
}
