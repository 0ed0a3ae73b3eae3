// Reaches the lake of this machine: the R2 bucket that `wrangler dev` keeps on disk, through wrangler's own
// getPlatformProxy, which works with and without a running `wrangler dev`. The layout on disk stays wrangler's.

import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { randomUUID } from 'node:crypto'
import { dirname, join, relative, resolve } from 'node:path'
import * as z from 'zod'
import { CDCError } from '../error.ts'
import { locationOf } from '../lake/table/location.ts'
import { EVENTS_COLUMNS } from '../lake/table/table.ts'
import type { Watermarks } from '../lake/table/watermarks.ts'
import { type IO, importOptional, problemOf } from './command.ts'
import { withRemedy } from './damaged-table.ts'
import { loadDuckDB, type TableFiles } from './duckdb.ts'
import { dropOthers, fetchFiles } from './file-cache.ts'
import { count } from './values.ts'
import { findWranglerConfig } from './wrangler-config.ts'
import type { LakeBucket, LakeManifest, LiveFile, TableVersion } from '../lake/table/table-reader.ts'
import { readManifest, readManifestList, readTableVersion, readWatermarks } from '../lake/table/table-reader.ts'

type Wrangler = typeof import('wrangler')

/** Where `wrangler dev` keeps its state, beside its configuration. */
const STATE_DIRECTORY = '.wrangler/state'
/** And where the demo of this library's repository does. */
const DEMO_DIRECTORY = '.wrangler/demo'

/** A commit that replaces files may remove old ones while they are fetched. Then the newer snapshot is read instead. */
const ATTEMPTS_MAX = 3

/** The options of every command that reads the lake, and their help. */
export const LAKE_OPTIONS = { state: { type: 'string' }, config: { type: 'string' } } as const
export const LAKE_HELP = `\
  --state <dir>     the state directory of wrangler dev, its --persist-to; default: ${STATE_DIRECTORY}
                    beside the wrangler configuration
  --config <file>   the wrangler configuration that binds LAKE_BUCKET; default: the nearest
                    wrangler.json, wrangler.jsonc or wrangler.toml, here or in a folder above`

export interface LakeOptions {
  readonly state?: string | undefined
  readonly config?: string | undefined
  /** Whether to read the watermarks too. */
  readonly watermarks?: boolean
}

/** What reading the lake needs of a command's surroundings. */
type LakeIO = Pick<IO, 'cwd' | 'note'>

/** The part of the user's configuration that is about the lake. The bucket's names decide where it lies on disk. */
const configShape = z.object({
  r2_buckets: z.array(
    z.object({
      binding: z.string(),
      bucket_name: z.string().optional(),
      preview_bucket_name: z.string().optional(),
    }),
  ),
  vars: z.object({ LAKE_LOCATION: z.url().optional() }),
})

interface LakeConfig {
  readonly bucket: z.infer<typeof configShape>['r2_buckets'][number]
  /** What the keys of the table begin with. */
  readonly prefix: string
}

/** The current snapshot of the lake's table. */
export interface LocalTable extends TableFiles {
  /** 0 if there is none. */
  readonly version: number
  /** What the snapshot says about its logs, if that was asked for. */
  readonly watermarks?: Watermarks
}

interface OpenLake {
  readonly directory: string
  readonly bucket: LakeBucket
  readonly prefix: string
  readonly table: TableVersion | undefined
  close(): Promise<void>
}

/** Checks what it takes to read the lake, so that a command with more to do fails before that and not after it. */
export async function checkLake({ config }: LakeOptions, { cwd }: LakeIO): Promise<void> {
  findWranglerConfig(config, cwd)
  await Promise.all([loadDuckDB(), loadWrangler()])
}

/**
 * Copies the current snapshot of the table out of the lake, and notes where it comes from.
 *
 * @throws {CDCError} `invalid-config`, with what heals it, if a file of the table is gone or not valid.
 */
export async function readLocalTable(options: LakeOptions, io: LakeIO): Promise<LocalTable> {
  try {
    return await openAndCopy(options, io)
  } catch (error) {
    throw withRemedy(error)
  }
}

async function openAndCopy(options: LakeOptions, io: LakeIO): Promise<LocalTable> {
  const config = findWranglerConfig(options.config, io.cwd)
  // Without it nobody can query the table, and copying it takes seconds.
  await loadDuckDB()
  const directories = directoriesOf(options.state, config, io.cwd)
  const lakes = await openLakes(directories, config)
  try {
    return await readNewest(lakes, directories, options, io)
  } finally {
    await Promise.all(lakes.map((lake) => lake.close()))
  }
}

function directoriesOf(state: string | undefined, config: string, cwd: string): string[] {
  if (state !== undefined) return [resolve(cwd, state)]
  const demo = join(dirname(config), DEMO_DIRECTORY)
  return [join(dirname(config), STATE_DIRECTORY), ...(existsSync(demo) ? [demo] : [])]
}

async function readNewest(
  lakes: readonly OpenLake[],
  directories: readonly string[],
  options: LakeOptions,
  io: LakeIO,
): Promise<LocalTable> {
  const [newest, ...older] = lakes
    .filter((lake) => lake.table !== undefined)
    .toSorted((a, b) => (b.table?.committedMs ?? 0) - (a.table?.committedMs ?? 0))
  if (newest?.table === undefined) {
    const places = directories.map((directory) => shown(directory, io)).join(' or ')
    io.note(`no table yet in ${places}; start wrangler dev and commit an event first`)
    return { version: 0, columns: EVENTS_COLUMNS, files: [] }
  }
  const choice = older.map((lake) => `; ${shown(lake.directory, io)} has an older table`).join('')
  return copyTable(newest, options, (text) => io.note(`${shown(newest.directory, io)}: ${text}${choice}`))
}

/** Copies the table's files. If one has gone since the snapshot was read, it starts again from the newest snapshot. */
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
  throw new CDCError('not-found', `the table in ${lake.directory} was removed while it was read`)
}

async function copySnapshot(lake: OpenLake, table: TableVersion, note: (text: string) => void): Promise<LocalTable> {
  const cache = join(lake.directory, 'query-cache', 'files')
  const manifests = await readManifestList(lake.bucket, table)
  const { paths } = await fetchFiles(lake.bucket, manifests, cache)
  const dataFiles = await readManifests(manifests, paths, table)
  const data = await fetchFiles(lake.bucket, dataFiles, cache)
  await dropOthers([...manifests, ...dataFiles], cache, Date.now())
  note(describe(table, dataFiles, data.downloaded))
  return { version: table.version, columns: table.columns, files: data.paths, keys: dataFiles.map(({ key }) => key) }
}

async function readManifests(
  manifests: readonly LakeManifest[],
  paths: readonly string[],
  table: TableVersion,
): Promise<LiveFile[]> {
  const files: LiveFile[][] = []
  for (const [index, path] of paths.entries()) {
    const reading = readManifest(manifests[index] ?? { key: path }, await readFile(path), table)
    // The bucket's own may have been restored by the next time.
    files.push(await reading.catch((error: unknown) => rm(path, { force: true }).then(() => Promise.reject(error))))
  }
  return files.flat()
}

function describe(table: TableVersion, files: readonly LiveFile[], downloaded: number): string {
  if (table.snapshot === undefined) return `the table has no snapshot yet (version ${table.version})`
  const rows = files.reduce((sum, file) => sum + file.rows, 0)
  const size = `${count(rows, 'row', 'rows')} in ${count(files.length, 'file', 'files')}`
  return `snapshot ${table.snapshot.id} of ${new Date(table.committedMs).toISOString()}, ${size} (${downloaded} fetched)`
}

function shown(directory: string, { cwd }: LakeIO): string {
  return relative(cwd, directory) || '.'
}

async function loadWrangler(): Promise<Wrangler> {
  return importOptional('wrangler', () => import('wrangler'))
}

/** Opens the lakes that exist. Loading wrangler takes a second, so it is not loaded if there is none. */
async function openLakes(directories: readonly string[], config: string): Promise<OpenLake[]> {
  const existing = directories.filter((directory) => existsSync(join(directory, 'v3')))
  if (existing.length === 0) return []
  const wrangler = await loadWrangler()
  const lakeConfig = readLakeConfig(wrangler, config)
  const opened = await Promise.allSettled(existing.map((directory) => openLake(wrangler, directory, lakeConfig)))
  const lakes = opened.filter((result) => result.status === 'fulfilled').map((result) => result.value)
  const failed = opened.find((result) => result.status === 'rejected')
  if (failed === undefined) return lakes
  await Promise.all(lakes.map((lake) => lake.close()))
  throw failed.reason
}

async function openLake(wrangler: Wrangler, directory: string, config: LakeConfig): Promise<OpenLake> {
  const { prefix } = config
  const configPath = await writeLakeConfig(directory, config)
  // Otherwise each start asks the network for an example of `request.cf`, and offline waits three seconds for it.
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

function readLakeConfig(wrangler: Wrangler, path: string): LakeConfig {
  const config = readConfig(wrangler, path)
  const bucket = config.r2_buckets.find((candidate) => candidate.binding === 'LAKE_BUCKET')
  if (bucket !== undefined) return { bucket, prefix: locationOf(config.vars).prefix }
  throw new CDCError(
    'invalid-config',
    `${path} binds no R2 bucket as LAKE_BUCKET, and that is the one that the lake writes to`,
  )
}

function readConfig(wrangler: Wrangler, path: string): z.infer<typeof configShape> {
  try {
    return configShape.parse(wrangler.unstable_readConfig({ config: path }, { hideWarnings: true }))
  } catch (error) {
    throw new CDCError('invalid-config', `${path} cannot be read: ${problemOf(error)}`, { cause: error })
  }
}

/**
 * Writes a configuration with the lake's bucket and nothing else. With the user's own, getPlatformProxy would also set up
 * storage for each Durable Object in it, and warn that it cannot run them.
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
