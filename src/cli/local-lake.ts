// Reaches the lake of this machine: the R2 bucket that `wrangler dev` keeps on disk, through wrangler's own
// getPlatformProxy, which works beside a running `wrangler dev` and without one. The layout on disk stays wrangler's.

import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { randomUUID } from 'node:crypto'
import { dirname, join, relative, resolve } from 'node:path'
import * as z from 'zod'
import { CDCError, messageOf } from '../error.ts'
import type { Column } from '../lake/iceberg/schema.ts'
import { DEFAULT_LOCATION, EVENTS_COLUMNS } from '../lake/table/table.ts'
import type { Watermarks } from '../lake/table/watermarks.ts'
import { type IO, importOptional } from './command.ts'
import { dropOthers, fetchFiles } from './file-cache.ts'
import { findWranglerConfig } from './wrangler-config.ts'
import { type DataFile, type LakeBucket, type TableRoot, type TableVersion } from '../lake/iceberg/read-snapshot.ts'
import { readManifest, readManifestList, readTableVersion, readWatermarks } from '../lake/iceberg/read-snapshot.ts'

/** Where the two ways to run the project keep their state, beside the wrangler configuration. */
const STATE_DIRECTORIES = ['.wrangler/state', '.wrangler/demo']

/** A commit that replaces files may remove old ones while they are fetched; then the newer snapshot is read instead. */
const ATTEMPTS_MAX = 3

/** What the user's configuration says about the lake. The bucket's names decide where it lies on disk. */
const configShape = z.object({
  r2_buckets: z.array(
    z.object({
      binding: z.string(),
      bucket_name: z.string().optional(),
      preview_bucket_name: z.string().optional(),
    }),
  ),
  vars: z.object({ LAKE_LOCATION: z.url().default(DEFAULT_LOCATION) }),
})

interface LakeConfig {
  readonly bucket: z.infer<typeof configShape>['r2_buckets'][number]
  /** What the keys of the table begin with. */
  readonly prefix: string
}

export interface LakeOptions {
  readonly state?: string | undefined
  readonly config?: string | undefined
  /** Whether to read also what the table says of its logs. */
  readonly watermarks?: boolean
}

/** The current snapshot as local files. */
export interface LocalTable {
  readonly columns: readonly Column[]
  /** Local paths of the snapshot's data files. */
  readonly files: readonly string[]
  /** What the snapshot says of its logs, where that was asked for. */
  readonly watermarks?: Watermarks
}

interface OpenLake {
  readonly directory: string
  readonly bucket: LakeBucket
  readonly prefix: string
  readonly table: TableVersion | undefined
  close(): Promise<void>
}

/** Copies the current snapshot of the table out of the lake, and notes on stderr where it came from. */
export async function readLocalTable(options: LakeOptions, io: IO): Promise<LocalTable> {
  const config = findWranglerConfig('query', options.config, io.cwd)
  const directories =
    options.state === undefined
      ? STATE_DIRECTORIES.map((name) => join(dirname(config), name))
      : [resolve(io.cwd, options.state)]
  const lakes = await openLakes(directories, config)
  try {
    return await readNewest(lakes, directories, options, io)
  } finally {
    await Promise.all(lakes.map((lake) => lake.close()))
  }
}

async function readNewest(
  lakes: readonly OpenLake[],
  directories: readonly string[],
  options: LakeOptions,
  io: IO,
): Promise<LocalTable> {
  const [newest, ...older] = lakes
    .filter((lake) => lake.table !== undefined)
    .toSorted((a, b) => (b.table?.committedMs ?? 0) - (a.table?.committedMs ?? 0))
  if (newest?.table === undefined) {
    const where = directories.map((directory) => shown(directory, io)).join(' or ')
    io.stderr(`no table yet in ${where}; run npm run demo or npm run dev first\n`)
    return { columns: EVENTS_COLUMNS, files: [] }
  }
  const choice = older.map((lake) => `; ${shown(lake.directory, io)} was committed earlier`).join('')
  return copyTable(newest, options, (text) => io.stderr(`${shown(newest.directory, io)}: ${text}${choice}\n`))
}

/** Copies the table's files; where one has gone since its snapshot was read, starts again from the newest snapshot. */
async function copyTable(lake: OpenLake, options: LakeOptions, note: (text: string) => void): Promise<LocalTable> {
  let table = lake.table
  for (let attempt = 1; table !== undefined; attempt += 1) {
    try {
      const copy = await copySnapshot(lake, table, note)
      return options.watermarks ? { ...copy, watermarks: await readWatermarks(lake.bucket, table) } : copy
    } catch (error) {
      if (!(error instanceof CDCError && error.retryable) || attempt === ATTEMPTS_MAX) throw error
      table = await readTableVersion(lake.bucket, lake.prefix)
    }
  }
  throw new CDCError('not-found', `query: the table in ${lake.directory} went away while it was read`)
}

async function copySnapshot(lake: OpenLake, table: TableVersion, note: (text: string) => void): Promise<LocalTable> {
  const cache = join(lake.directory, 'query-cache', 'files')
  const manifests = await readManifestList(lake.bucket, table)
  const { paths } = await fetchFiles(lake.bucket, manifests, cache)
  const dataFiles = await readManifests(paths, table.root)
  const data = await fetchFiles(lake.bucket, dataFiles, cache)
  await dropOthers([...manifests, ...dataFiles], cache, Date.now())
  note(describe(table, dataFiles, data.downloaded))
  return { columns: table.columns, files: data.paths }
}

async function readManifests(paths: readonly string[], root: TableRoot): Promise<DataFile[]> {
  const files: DataFile[][] = []
  for (const path of paths) files.push(await readManifest(path, await readFile(path), root))
  return files.flat()
}

function describe(table: TableVersion, files: readonly DataFile[], downloaded: number): string {
  if (table.snapshot === undefined) return `the table has no snapshot yet (version ${table.version})`
  const rows = files.reduce((sum, file) => sum + file.rows, 0)
  const at = new Date(table.committedMs).toISOString()
  return `snapshot ${table.snapshot.id} of ${at}, ${rows} rows in ${files.length} files (${downloaded} fetched)`
}

function shown(directory: string, io: IO): string {
  return relative(io.cwd, directory) || '.'
}

/** Opens the lakes that exist. Loading wrangler takes a second, so it is left out where there is none. */
async function openLakes(directories: readonly string[], config: string): Promise<OpenLake[]> {
  const existing = directories.filter((directory) => existsSync(join(directory, 'v3')))
  if (existing.length === 0) return []
  const wrangler = await importOptional('wrangler', 'query', () => import('wrangler'))
  const lakeConfig = readLakeConfig(wrangler, config)
  const opened = await Promise.allSettled(existing.map((directory) => openLake(wrangler, directory, lakeConfig)))
  const lakes = opened.filter((result) => result.status === 'fulfilled').map((result) => result.value)
  const failed = opened.find((result) => result.status === 'rejected')
  if (failed === undefined) return lakes
  await Promise.all(lakes.map((lake) => lake.close()))
  throw failed.reason
}

async function openLake(wrangler: typeof import('wrangler'), directory: string, config: LakeConfig): Promise<OpenLake> {
  const { prefix } = config
  const configPath = await writeLakeConfig(directory, config)
  // Without this, each start asks the network for an example of `request.cf`, and offline waits three seconds for it.
  process.env['CLOUDFLARE_CF_FETCH_ENABLED'] ??= 'false'
  const persist = { path: join(directory, 'v3') } // `wrangler dev --persist-to X` keeps its state in X/v3.
  const proxy = await wrangler.getPlatformProxy<{ LAKE_BUCKET: R2Bucket }>({
    configPath,
    persist,
    remoteBindings: false,
    envFiles: [],
  })
  try {
    const bucket = proxy.env.LAKE_BUCKET
    return { directory, bucket, prefix, table: await readTableVersion(bucket, prefix), close: () => proxy.dispose() }
  } catch (error) {
    await proxy.dispose()
    throw error
  }
}

function readLakeConfig(wrangler: typeof import('wrangler'), path: string): LakeConfig {
  const config = readConfig(wrangler, path)
  const bucket = config.r2_buckets.find((candidate) => candidate.binding === 'LAKE_BUCKET')
  if (bucket !== undefined) return { bucket, prefix: `${new URL(config.vars.LAKE_LOCATION).pathname.slice(1)}/` }
  throw new CDCError(
    'invalid-config',
    `query: ${path} binds no R2 bucket as LAKE_BUCKET, and that is the one that the lake writes into`,
  )
}

function readConfig(wrangler: typeof import('wrangler'), path: string): z.infer<typeof configShape> {
  try {
    return configShape.parse(wrangler.unstable_readConfig({ config: path }, { hideWarnings: true }))
  } catch (error) {
    const problem = error instanceof z.ZodError ? z.prettifyError(error) : messageOf(error)
    throw new CDCError('invalid-config', `query: ${path} cannot be read: ${problem}`, { cause: error })
  }
}

/**
 * Writes a configuration with the lake's bucket and nothing else. With the user's own, getPlatformProxy also sets up
 * storage for each Durable Object that it names, and warns that it cannot run them.
 */
async function writeLakeConfig(directory: string, { bucket }: LakeConfig): Promise<string> {
  const config = { name: 'durable-outbox-query', r2_buckets: [bucket] }
  const path = join(directory, 'query-cache', 'wrangler.json')
  const temporary = `${path}.${randomUUID()}.tmp`
  await mkdir(dirname(path), { recursive: true })
  await writeFile(temporary, JSON.stringify(config))
  await rename(temporary, path)
  return path
}
