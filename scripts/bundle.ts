// What a Worker gets to load of this library, entry by entry, each held to a budget: all of it is loaded at every start of an
// isolate. `--json` prints the table for programs.

import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { gzipSync } from 'node:zlib'

const root = join(import.meta.dirname, '..')

/** A Worker with one object, of a class that may have a store. */
function objectWorker(store = '', args = 'this.ctx'): string {
  const field = store === '' ? '' : `store = new ${store}(${args})`
  return `
    import { CDCDurableObject${store && `, ${store}`} } from 'durable-outbox'
    export class Objects extends CDCDurableObject { ${field} }
    export default {}`
}

interface Entry {
  readonly name: string
  /** The Worker's source. Without one it is the example's, without the lake. */
  readonly source?: string
  /**
   * Gzip KiB. The measured size and a twentieth; more for a reason that is worth it to everybody who loads the entry. The
   * first is never above 40, an emitter never above 10.
   */
  readonly maxGzipKiB: number
}

const ENTRIES: readonly Entry[] = [
  { name: 'CDCDurableObject', source: objectWorker(), maxGzipKiB: 39.6 },
  {
    name: 'ExactlyOnceContext',
    source: `export { ExactlyOnceContext } from 'durable-outbox'`,
    maxGzipKiB: 39.1,
  },
  { name: '+ DocumentStore', source: objectWorker('DocumentStore', "this.ctx, 'A'"), maxGzipKiB: 47.7 },
  { name: '+ GraphStore', source: objectWorker('GraphStore'), maxGzipKiB: 46.6 },
  { name: '+ RelationalStore', source: objectWorker('RelationalStore'), maxGzipKiB: 58.7 },
  { name: '+ ColumnarStore', source: objectWorker('ColumnarStore'), maxGzipKiB: 50.1 },
  { name: '+ TimeSeriesStore', source: objectWorker('TimeSeriesStore'), maxGzipKiB: 44.8 },
  { name: '+ VectorStore', source: objectWorker('VectorStore'), maxGzipKiB: 47.4 },
  {
    name: '+ subscriptions',
    source: `${objectWorker()}; export { subscribe, toObject, toQueue } from 'durable-outbox/subscriptions'`,
    maxGzipKiB: 44.1,
  },
  {
    name: '+ toWebhook',
    source: `${objectWorker()}; export { subscribe, toWebhook } from 'durable-outbox/subscriptions'`,
    maxGzipKiB: 49.6,
  },
  {
    name: '+ outboxRoutes',
    source: `${objectWorker()}; export { outboxRoutes } from 'durable-outbox/admin'`,
    maxGzipKiB: 50.5,
  },
  {
    name: '+ tail',
    source: `${objectWorker()}; export { OutboxTail, tailRoutes } from 'durable-outbox/tail'`,
    maxGzipKiB: 65.6,
  },
  {
    name: '+ fleet',
    source: `${objectWorker()}; export { fleetRoutes, metricsRoutes, OutboxFleet } from 'durable-outbox/fleet'`,
    maxGzipKiB: 54,
  },
  {
    name: '+ console',
    source: `${objectWorker()}; export { OutboxFleet } from 'durable-outbox/fleet'; export { consoleRoutes } from 'durable-outbox/console'`,
    maxGzipKiB: 60,
  },
  {
    name: '+ lake',
    source: `${objectWorker()}; export { Lake, LakeIntake, LakeTable } from 'durable-outbox/lake'`,
    // Of this 10 are for other catalogs than the lake's own: 3 a client of them, 7 what takes over the commits of others. One
    // class serves both, as a table's object cannot choose its class by a variable. And 4 are for shards, 2 of them the class of
    // these, which a Worker without any need not export.
    maxGzipKiB: 120,
  },
  { name: 'CDCEmitter', source: `export { CDCEmitter } from 'durable-outbox'`, maxGzipKiB: 6.2 },
  {
    name: 'ManagedPipeline',
    source: `export { ManagedPipeline } from 'durable-outbox/managed-pipeline'`,
    maxGzipKiB: 4.9,
  },
  {
    name: 'ingest',
    source: `export { IngestBatches, ingestRoutes } from 'durable-outbox/ingest'`,
    maxGzipKiB: 27.3,
  },
  // Of this 6 are for the tail: any client can follow any object of the example.
  { name: 'the example over Basin Pipelines', maxGzipKiB: 128 },
]

/** A bundle, and which packages and rooms of ours make it. */
interface Bundle {
  readonly code: Uint8Array
  readonly bytesOf?: ReadonlyMap<string, number>
}

/** What is used here of esbuild. */
interface Esbuild {
  build(options: object): Promise<{
    outputFiles: readonly { contents: Uint8Array }[]
    metafile: { outputs: Record<string, { inputs: Record<string, { bytesInOutput: number }> }> }
  }>
}

const wrangler = join(root, 'node_modules/wrangler')
/** wrangler's own. With wrangler's options it makes the same bytes, in a tenth of the time: it has no configuration to read. */
const esbuild = createRequire(join(wrangler, 'package.json'))('esbuild') as Esbuild

async function bundleSource(source: string): Promise<Bundle> {
  const { outputFiles, metafile } = await esbuild.build({
    stdin: { contents: source, resolveDir: root, loader: 'ts' },
    absWorkingDir: root,
    bundle: true,
    minify: true,
    keepNames: true,
    format: 'esm',
    target: 'es2024',
    supported: { 'import-source': true, using: true },
    conditions: ['workerd', 'worker', 'browser'],
    define: { 'process.env.NODE_ENV': '"production"' },
    external: ['cloudflare:*', 'node:*'],
    write: false,
    metafile: true,
  })
  const bytesOf = new Map<string, number>()
  for (const { inputs } of Object.values(metafile.outputs))
    for (const [file, { bytesInOutput }] of Object.entries(inputs)) {
      const place = placeOf(file)
      bytesOf.set(place, (bytesOf.get(place) ?? 0) + bytesInOutput)
    }
  return { code: Buffer.concat(outputFiles.map(({ contents }) => contents)), bytesOf }
}

/** The package that a file belongs to, or the room of ours. */
function placeOf(file: string): string {
  return /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1] ?? file.split('/').slice(0, 2).join('/')
}

/** By wrangler, because its configuration decides what is in it. */
async function bundleExample(): Promise<Bundle> {
  const folder = await mkdtemp(join(tmpdir(), 'durable-outbox-bundle-'))
  try {
    const args = ['deploy', '--dry-run', '--minify', '--env', 'pipelines', '--outdir', folder]
    await promisify(execFile)(process.execPath, [join(wrangler, 'bin/wrangler.js'), ...args], { cwd: root })
    return { code: await readUpload(folder) }
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** What is uploaded: of the files that wrangler leaves, those that are no map and no explanation. */
async function readUpload(folder: string): Promise<Buffer> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile() && !/\.map$|^README\.md$/.test(entry.name))
  return Buffer.concat(await Promise.all(files.map(({ parentPath, name }) => readFile(join(parentPath, name)))))
}

function kib(bytes: number): number {
  return Math.round((bytes / 1024) * 10) / 10
}

/** The largest parts of a bundle, for somebody who looks for what to leave out. */
function describeLargest({ bytesOf = new Map() }: Bundle): string {
  const largest = Array.from(bytesOf).toSorted(([, a], [, b]) => b - a)
  return largest
    .map(([place, bytes]) => `${place} ${kib(bytes)}`)
    .slice(0, 6)
    .join(', ')
}

const { values } = parseArgs({ options: { json: { type: 'boolean' } } })
const sizes = []
const broken = []
if (!values.json) console.log(`${''.padEnd(21)}  minified      gzip    budget   KiB`)
for (const { name, source, maxGzipKiB } of ENTRIES) {
  const bundle = await (source === undefined ? bundleExample() : bundleSource(source))
  const size = { name, kib: kib(bundle.code.byteLength), gzipKiB: kib(gzipSync(bundle.code).byteLength), maxGzipKiB }
  sizes.push(size)
  if (size.gzipKiB > maxGzipKiB)
    broken.push(`${name}: ${size.gzipKiB} of ${maxGzipKiB} KiB gzip. ${describeLargest(bundle)}`)
  const cells = [size.kib, size.gzipKiB, maxGzipKiB].map((number) => number.toFixed(1).padStart(8))
  if (!values.json) console.log(`${name.padEnd(21)}  ${cells.join('  ')}${size.gzipKiB > maxGzipKiB ? '  OVER' : ''}`)
}
if (values.json) console.log(JSON.stringify(sizes, null, 2))
if (broken.length > 0) {
  console.error(
    `over budget:\n  ${broken.join('\n  ')}\nimport less there, or raise the budget in scripts/bundle.ts and say what it buys`,
  )
  process.exitCode = 1
}
