// Reaches the lake of this machine: the R2 bucket that `wrangler dev` keeps on disk, through wrangler's own
// getPlatformProxy, which works with and without a running `wrangler dev`. The layout on disk stays wrangler's.

import { existsSync, readFileSync } from 'node:fs'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { randomUUID } from 'node:crypto'
import { dirname, join, relative, resolve } from 'node:path'
import * as z from 'zod'
import { CDCError } from '../error.ts'
import { locationOf } from '../lake/table/location.ts'
import { EVENTS_COLUMNS } from '../lake/table/table.ts'
import { type IO, importOptional, problemOf, usage } from './command.ts'
import { loadDuckDB } from './duckdb.ts'
import { dropOthers, fetchFiles, listFiles } from './file-cache.ts'
import { keep, recall, stampOf } from './last-read.ts'
import type { LocalTable, Read } from './local-table.ts'
import { count } from './values.ts'
import {
  CONFIG_HELP,
  CONFIG_OPTIONS,
  type ConfigOptions,
  environmentOf,
  findWranglerConfig,
  LAKE_BINDING,
  otherLakes,
  readProject,
} from './wrangler-config.ts'
import type { LakeBucket, LakeFile, LakeManifest, LiveFile, TableVersion } from '../lake/table/table-reader.ts'
import { CatalogClient } from '../lake/rest/client.ts'
import { catalogConfig, catalogVariables } from '../lake/rest/config.ts'
import {
  readManifest,
  readManifestList,
  readTableVersion,
  readWatermarks,
  tableVersionOf,
} from '../lake/table/table-reader.ts'

type Wrangler = typeof import('wrangler')

/** Where `wrangler dev` keeps its state, beside its configuration. */
const STATE_DIRECTORY = '.wrangler/state'
/** And where the demo of this library's repository does. */
const DEMO_DIRECTORY = '.wrangler/demo'
/** Where the command keeps its copies, in a state directory. */
const CACHE_DIRECTORY = 'query-cache'

/** A commit that replaces files may remove old ones while they are fetched. Then the newer snapshot is read instead. */
const ATTEMPTS_MAX = 3

/** The options of every command that reads the lake, and their help. */
export const LAKE_OPTIONS = { state: { type: 'string' }, ...CONFIG_OPTIONS } as const
export const LAKE_HELP = `\
  --state <dir>     the state directory of wrangler dev, its --persist-to; default: ${STATE_DIRECTORY}
                    beside the wrangler configuration, which binds its bucket as ${LAKE_BINDING}
${CONFIG_HELP}`

export interface LakeOptions extends ConfigOptions {
  readonly state?: string | undefined
  /** Whether to read the watermarks too. */
  readonly watermarks?: boolean
  /**
   * How the copies of the table's files are compared with the bucket: each must be in it with its size and its bytes; or all
   * are copied again. A query compares nothing.
   */
  readonly proof?: 'listed' | 'read'
}

/** What reading the lake needs of a command's surroundings. */
type LakeIO = Pick<IO, 'cwd' | 'note' | 'env'>

/** The part of the user's configuration that is about the lake. The bucket's names decide where it lies on disk. */
const configShape = z.object({
  r2_buckets: z.array(
    z.object({
      binding: z.string(),
      bucket_name: z.string().optional(),
      preview_bucket_name: z.string().optional(),
    }),
  ),
  vars: z.looseObject({ LAKE_LOCATION: z.url().optional() }),
})

interface LakeConfig {
  readonly bucket: z.infer<typeof configShape>['r2_buckets'][number]
  /** What the keys of the table begin with, if it is in the lake's own catalog. */
  readonly prefix: string
  /** The catalog, if that is another one. */
  readonly catalog: CatalogClient | undefined
}

interface OpenLake {
  readonly directory: string
  readonly bucket: LakeBucket
  /** The table as it is now; nothing if there is none. */
  readVersion(): Promise<TableVersion | undefined>
  close(): Promise<void>
}

/** Checks what it takes to read the lake, so that a command with more to do fails before that and not after it. */
export async function checkLake(options: LakeOptions, io: LakeIO): Promise<void> {
  chooseLake(options, io)
  await Promise.all([loadDuckDB(), loadWrangler()])
}

/** Where a command line says that the lake is. */
interface Choice {
  /** The path of the wrangler configuration. */
  readonly config: string
  readonly environment: string | undefined
  readonly directories: readonly string[]
}

/** Reads the table once. @throws {CDCError} `table-damaged` if a file of it is gone or not valid. */
export async function readLocalTable(options: LakeOptions, io: LakeIO): Promise<LocalTable> {
  const lake = new LocalLake(options, io)
  try {
    return await lake.read()
  } finally {
    await lake.close()
  }
}

/** The lake of a command line. It is opened when it has to be, and stays open until it is closed. */
export class LocalLake {
  readonly #options: LakeOptions
  readonly #io: LakeIO
  readonly #choice: Choice
  #lakes: Promise<readonly OpenLake[]> | undefined
  #noted: string | undefined

  constructor(options: LakeOptions, io: LakeIO) {
    this.#options = options
    this.#io = io
    this.#choice = chooseLake(options, io)
  }

  /** Copies the current snapshot of the table out of the lake, and notes where it comes from, unless that is known. */
  async read(): Promise<LocalTable> {
    // Without it nobody can query the table, and copying it takes seconds.
    await loadDuckDB()
    const isProof = this.#options.proof !== undefined || this.#options.watermarks === true
    const { table, note } = await (isProof ? this.#readNow() : this.#readIfWritten())
    if (note !== this.#noted) this.#io.note(note)
    this.#noted = note
    return table
  }

  async close(): Promise<void> {
    await Promise.all(((await this.#lakes) ?? []).map((lake) => lake.close()))
  }

  async #readIfWritten(): Promise<Read> {
    const before = this.#stamp()
    const recalled = before === undefined ? undefined : await recall(this.#lastRead, before)
    if (recalled !== undefined) return recalled
    const read = await this.#readNow()
    if (read.table.version > 0 && before !== undefined && before === this.#stamp())
      await keep(this.#lastRead, before, { ...read, note: read.note.replace(/\d+ fetched/, '0 fetched') })
    return read
  }

  async #readNow(): Promise<Read> {
    this.#lakes ??= openLakes(this.#choice, this.#io.env)
    return readNewest(await this.#lakes, this.#choice, this.#options, this.#io)
  }

  #stamp(): string | undefined {
    const { config, environment = '', directories } = this.#choice
    return stampOf(directories, [this.#io.cwd, config, readFileSync(config, 'utf8'), environment])
  }

  /** Where its copies are kept. */
  get cacheDirectory(): string {
    return join(this.#choice.directories[0] ?? '', CACHE_DIRECTORY)
  }

  get #lastRead(): string {
    const { environment = '' } = this.#choice
    return join(this.cacheDirectory, `last-read${encodeURIComponent(environment)}.json`)
  }
}

/** @throws {CDCError} `invalid-argument` for what does not exist: its empty table would look like an answer. */
function chooseLake(options: LakeOptions, { cwd, env }: LakeIO): Choice {
  const config = findWranglerConfig(options.config, cwd)
  const environment = environmentOf(options, config, env)
  return { config, environment, directories: directoriesOf(options.state, config, cwd) }
}

function directoriesOf(state: string | undefined, config: string, cwd: string): string[] {
  if (state !== undefined) {
    const directory = resolve(cwd, state)
    if (hasState(directory)) return [directory]
    throw usage(`--state ${state} is not a state directory of wrangler dev: it has no folder v3`)
  }
  const demo = join(dirname(config), DEMO_DIRECTORY)
  return [join(dirname(config), STATE_DIRECTORY), ...(existsSync(demo) ? [demo] : [])]
}

/** `wrangler dev --persist-to X` keeps its state in X/v3. */
function hasState(directory: string): boolean {
  return existsSync(join(directory, 'v3'))
}

async function readNewest(lakes: readonly OpenLake[], choice: Choice, options: LakeOptions, io: LakeIO): Promise<Read> {
  const tables = await Promise.all(lakes.map(async (lake) => ({ ...lake, table: await lake.readVersion() })))
  const [newest, ...older] = tables
    .filter((lake) => lake.table !== undefined)
    .toSorted((a, b) => (b.table?.committedMs ?? 0) - (a.table?.committedMs ?? 0))
  if (newest?.table === undefined) {
    const place = choice.directories.map((directory) => shown(directory, io)).join(' or ')
    const table = { columns: EVENTS_COLUMNS, files: [], keys: [], version: 0, place }
    return { table, note: `no table yet in ${place}; ${whatToDo(choice)}` }
  }
  const others = older.map((lake) => `; ${shown(lake.directory, io)} has an older table`).join('')
  const place = shown(newest.directory, io)
  const { table, note } = await copyTable({ ...newest, place }, options)
  return { table, note: `${place}: ${note}${others}` }
}

function whatToDo({ config, environment }: Choice): string {
  const [other] = otherLakes(readProject(config), environment)
  const start = `start wrangler dev${environment === undefined ? '' : ` --env ${environment}`} and commit an event first`
  return other === undefined ? start : `${start}, or look into another environment with --env ${other}`
}

/** Copies the table's files. If one has gone since the snapshot was read, it starts again from the newest snapshot. */
async function copyTable(lake: PlacedLake, options: LakeOptions): Promise<Read> {
  let table = lake.table
  for (let attempt = 1; table !== undefined; attempt += 1) {
    try {
      const copy = await copySnapshot(lake, { table, proof: options.proof })
      if (!options.watermarks) return copy
      return { ...copy, table: { ...copy.table, watermarks: await readWatermarks(lake.bucket, table) } }
    } catch (error) {
      if (!(error instanceof CDCError && error.retryable) || attempt === ATTEMPTS_MAX) throw error
      table = await lake.readVersion()
    }
  }
  throw new CDCError('not-found', `the table in ${lake.directory} was removed while it was read`)
}

/** A lake, and its directory as it is shown. */
interface PlacedLake extends OpenLake {
  readonly place: string
  readonly table: TableVersion | undefined
}

interface Copying {
  readonly table: TableVersion
  readonly proof: LakeOptions['proof']
}

async function copySnapshot({ bucket, directory, place }: PlacedLake, { table, proof }: Copying): Promise<Read> {
  const cache = join(directory, CACHE_DIRECTORY, 'files')
  const fetch = async (files: readonly LakeFile[], folder: string) =>
    fetchFiles(
      bucket,
      proof === undefined ? files : await listFiles(bucket, files, table.prefix + folder),
      cache,
      proof === 'read',
    )
  const manifests = await readManifestList(bucket, table)
  const { paths } = await fetch(manifests, 'metadata/')
  const dataFiles = await readManifests(manifests, paths, table)
  const data = await fetch(dataFiles, 'data/')
  await dropOthers([...manifests, ...dataFiles], cache, Date.now())
  const { columns, version } = table
  return {
    table: { columns, version, place, files: data.paths, keys: dataFiles.map(({ key }) => key) },
    note: describe(table, dataFiles, data.downloaded),
  }
}

async function readManifests(
  manifests: readonly LakeManifest[],
  paths: readonly string[],
  table: TableVersion,
): Promise<LiveFile[]> {
  const files: LiveFile[][] = []
  for (const [index, path] of paths.entries()) {
    try {
      files.push(readManifest(manifests[index] ?? { key: path }, await readFile(path), table))
    } catch (error) {
      // The bucket's own may have been restored by the next time.
      await rm(path, { force: true })
      throw error
    }
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
async function openLakes(choice: Choice, env: LakeIO['env']): Promise<OpenLake[]> {
  const existing = choice.directories.filter(hasState)
  if (existing.length === 0) return []
  const wrangler = await loadWrangler()
  const lakeConfig = readLakeConfig(wrangler, choice, env)
  const opened = await Promise.allSettled(existing.map((directory) => openLake(wrangler, directory, lakeConfig)))
  const lakes = opened.filter((result) => result.status === 'fulfilled').map((result) => result.value)
  const failed = opened.find((result) => result.status === 'rejected')
  if (failed === undefined) return lakes
  await Promise.all(lakes.map((lake) => lake.close()))
  throw failed.reason
}

async function openLake(wrangler: Wrangler, directory: string, config: LakeConfig): Promise<OpenLake> {
  const configPath = await writeLakeConfig(directory, config)
  // Otherwise each start asks the network for an example of `request.cf`, and offline waits three seconds for it.
  process.env['CLOUDFLARE_CF_FETCH_ENABLED'] ??= 'false'
  const persist = { path: join(directory, 'v3') }
  const proxy = await wrangler.getPlatformProxy<{ LAKE_BUCKET: R2Bucket }>({
    configPath,
    // That configuration has none, whatever CLOUDFLARE_ENV says.
    environment: '',
    persist,
    remoteBindings: false,
    envFiles: [],
  })
  const bucket = proxy.env.LAKE_BUCKET
  return { directory, bucket, readVersion: () => readVersion(bucket, config), close: () => proxy.dispose() }
}

async function readVersion(bucket: LakeBucket, { prefix, catalog }: LakeConfig) {
  if (catalog === undefined) return readTableVersion(bucket, prefix)
  const answer = await catalog.load()
  return answer && tableVersionOf(answer.path, answer.metadata)
}

function readLakeConfig(wrangler: Wrangler, choice: Choice, env: LakeIO['env']): LakeConfig {
  const config = readConfig(wrangler, choice)
  const bucket = config.r2_buckets.find((candidate) => candidate.binding === LAKE_BINDING)
  // Its secrets are not in the configuration.
  const named = catalogConfig({ ...catalogVariables(env), ...catalogVariables(config.vars) })
  const catalog = named && new CatalogClient({ config: named, fetch, now: Date.now })
  if (bucket !== undefined) return { bucket, prefix: locationOf(config.vars).prefix, catalog }
  const { config: path, environment } = choice
  const place = environment === undefined ? path : `${path} under env.${environment}`
  const others = otherLakes(readProject(path), environment)
  const hint = others.length === 0 ? '' : `; these environments bind one: ${others.join(', ')} (--env)`
  throw new CDCError(
    'invalid-config',
    `${place} binds no R2 bucket as ${LAKE_BINDING}, and that is the one that the lake writes to${hint}`,
  )
}

function readConfig(wrangler: Wrangler, { config: path, environment = '' }: Choice): z.infer<typeof configShape> {
  try {
    // The empty name is the top level, also if CLOUDFLARE_ENV is set.
    return configShape.parse(wrangler.unstable_readConfig({ config: path, env: environment }, { hideWarnings: true }))
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
  const path = join(directory, CACHE_DIRECTORY, 'wrangler.json')
  const temporary = `${path}.${randomUUID()}.tmp`
  await mkdir(dirname(path), { recursive: true })
  await writeFile(temporary, JSON.stringify(config))
  await rename(temporary, path)
  return path
}
