// durable-outbox provision: creates what the events of a deployed Worker flow through, in Basin Pipelines (Cloudflare
// Pipelines until 2026-10-01) or in a lake, and binds it. What exists is kept, and never changed or deleted.

import { readFile, writeFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { CDCError } from '../error.ts'
import { type Command, type ExitCode, type IO, parseOptions, problemOf, usage } from './command.ts'
import { printJSON } from './output.ts'
import { createCommands, type FoundInAccount, readAccount, readStream } from './provision/account.ts'
import { type LakeOptions, provisionLake } from './provision/lake.ts'
import { CATALOG_TOKEN_NAME, DEFAULT_TABLE } from './provision/lake-plan.ts'
import { type Names, plan, type Step, type Wanted } from './provision/plan.ts'
import { printPlan } from './provision/print.ts'
import { type Schema, schemaShape } from './provision/schema.ts'
import { nameTables } from './provision/sql.ts'
import { boundService, boundStream, chooseEnvironment } from './provision/worker-config.ts'
import { bindStream, findConfig, parseConfig, type Place } from './provision/worker-config.ts'
import { unlessWithoutLogin, Wrangler } from './provision/wrangler.ts'
import { CONFIG_OPTIONS, type ConfigFormat } from './wrangler-config.ts'

const DEFAULT_NAMES: Names = {
  bucket: 'cdc-events',
  namespace: 'cdc',
  table: 'events',
  stream: 'cdc_events',
  sink: 'cdc_events_sink',
  pipeline: 'cdc_events',
}
const DEFAULT_BINDING = 'EVENTS_PIPELINE'

/** Where the sink's token is read from: an argument would stay in the shell's history. */
const TOKEN_VARIABLE = 'BASIN_CATALOG_TOKEN'

/** What a lake has nothing of. */
const STREAM_OPTIONS = ['suffix', 'stream', 'sink', 'pipeline', 'roll-interval']

/** R2's. */
const JURISDICTIONS = ['eu', 'fedramp']

/** wrangler's own limit for a sink into a catalog. */
const ROLL_INTERVAL_SECONDS_MIN = 60

/** wrangler's own rule for the name of a stream, a sink or a pipeline; a table that keeps it needs no quotes in SQL. */
const NAME = /^[a-zA-Z0-9_]+$/
const BUCKET_NAME = /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/

const HELP = `Usage: durable-outbox provision [options]

Creates what is missing: an R2 bucket with its Basin Catalog, a stream, a sink into a table of the
catalog, and the pipeline between them. It then writes the stream's id into the wrangler
configuration. What exists is kept: nothing in the account is changed or deleted. An interrupted run
is resumed by the next.

The stream's schema is streams/events.schema.json and the pipeline's SQL is streams/events.sql: the
project's own if it has them, otherwise this package's. The account is reached through the project's
wrangler. The sink's token for the catalog is read from ${TOKEN_VARIABLE} in the environment;
only creating the sink needs it.

With --lake there is no stream: it creates what a deployed lake needs, the bucket with its Basin
Catalog and the secret ${CATALOG_TOKEN_NAME}, whose value is read from that name in the
environment. It then adds the lake's object, bucket, variables and service to the configuration.

  --lake                 provision a lake in place of a stream
  --jurisdiction <name>  create the lake's bucket there: ${JURISDICTIONS.join(' or ')}; the lake then keeps its own
                         catalog, as Basin Catalog exists in no jurisdiction
  --dry-run              print the plan and stop; without a login, the plan for an account that has
                         nothing
  --json                 print the plan, whether the account was read for it, and the stream's id as
                         JSON
  --suffix <text>        append this to the names of stream, sink, pipeline and table: _v2 creates
                         new ones beside the old
  --bucket <name>        the bucket; default: ${DEFAULT_NAMES.bucket}
  --namespace <name>     the table's namespace in the catalog; default: ${DEFAULT_NAMES.namespace}
  --table <name>         the table; default: ${DEFAULT_NAMES.table}
  --stream <name>        the stream; default: ${DEFAULT_NAMES.stream}
  --sink <name>          the sink; default: ${DEFAULT_NAMES.sink}
  --pipeline <name>      the pipeline; default: ${DEFAULT_NAMES.pipeline}
  --roll-interval <s>    seconds between two commits to the table, at least ${ROLL_INTERVAL_SECONDS_MIN}; default: Basin's own
  --binding <name>       the Worker's binding of the stream or the lake; default: ${DEFAULT_BINDING}
  --env <name>           the environment in the configuration; default: production if there is one,
                         otherwise the top level
  --config <file>        the wrangler configuration; default: the nearest wrangler.json,
                         wrangler.jsonc or wrangler.toml, here or in a folder above

Example: ${TOKEN_VARIABLE}=… durable-outbox provision --dry-run
`

const EMPTY_ACCOUNT: FoundInAccount = { hasBucket: false, hasCatalog: false }

export const provisionCommand: Command = {
  name: 'provision',
  summary: 'create what a deployed Worker sends to: a stream of Basin Pipelines, or a lake',
  help: HELP,
  run: runProvision,
}

type Options = ReturnType<typeof parse>

/** What a run works with. */
interface Job {
  readonly wanted: Wanted
  readonly schemaFile: string
  readonly target: Target
  readonly wrangler: Wrangler
  readonly catalogToken: string | undefined
}

/** The place in the project's wrangler configuration where the stream is bound. */
interface Target {
  readonly path: string
  readonly format: ConfigFormat
  readonly place: Place
  readonly boundStream: string | undefined
  readonly boundService: string | undefined
}

async function runProvision(args: readonly string[], io: IO): Promise<ExitCode> {
  const options = parse(args)
  return options.lake === undefined
    ? provisionStream(options, io)
    : provisionLake({ ...options, lake: options.lake }, io)
}

async function provisionStream(options: Options, io: IO): Promise<ExitCode> {
  const job = await prepare(options, io)
  const reading = readAccount(job.wanted, job.wrangler)
  const read = await (options.dryRun ? unlessWithoutLogin(reading) : reading)
  const account = read ?? EMPTY_ACCOUNT
  const { boundStream, boundService } = job.target
  const steps = plan(job.wanted, { ...account, boundStream, boundService })
  const report = (streamId = account.stream?.id): void => {
    if (options.json) printJSON({ accountRead: read !== undefined, steps, streamId: streamId ?? null }, io)
  }
  if (!options.json) printPlan(steps, { isDryRun: options.dryRun, isAccountRead: read !== undefined }, io)

  const conflicts = steps.filter(({ action }) => action === 'conflict')
  if (conflicts.length > 0) {
    report()
    for (const line of conflictHelp(conflicts, options.suffix)) io.note(line)
    return 1
  }
  if (options.dryRun) {
    report()
    return 0
  }
  await create(steps, job, io)
  const stream = account.stream ?? (await readStream(job.wanted, job.wrangler))
  if (stream === undefined)
    throw new CDCError('not-found', 'the new stream is not visible yet; run it again in a minute', { retryable: true })
  if (steps.some(({ action }) => action === 'write')) await bind(stream.id, job.target, io)
  report(stream.id)
  return 0
}

function parse(args: readonly string[]) {
  const values = parseOptions(args, {
    'dry-run': { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    lake: { type: 'boolean', default: false },
    jurisdiction: { type: 'string' },
    suffix: { type: 'string', default: '' },
    bucket: { type: 'string' },
    namespace: { type: 'string' },
    table: { type: 'string' },
    stream: { type: 'string' },
    sink: { type: 'string' },
    pipeline: { type: 'string' },
    'roll-interval': { type: 'string' },
    binding: { type: 'string', default: DEFAULT_BINDING },
    ...CONFIG_OPTIONS,
  })
  const names = namesOf(values)
  return {
    dryRun: values['dry-run'],
    json: values.json,
    suffix: values.suffix,
    names,
    lake: lakeOf(values, names),
    rollIntervalSeconds: rollIntervalOf(values['roll-interval']),
    binding: values.binding,
    environment: values.env,
    config: values.config,
  }
}

function namesOf(values: Partial<Record<keyof Names, string | undefined>> & { suffix: string }): Names {
  const nameOf = (what: keyof Names, suffix: string, pattern = NAME): string => {
    const name = (values[what] ?? DEFAULT_NAMES[what]) + suffix
    if (pattern.test(name)) return name
    throw usage(`"${name}" is not a name for a ${what}: it must match ${pattern.source}`)
  }
  const { suffix } = values
  const names = {
    bucket: nameOf('bucket', '', BUCKET_NAME),
    namespace: nameOf('namespace', ''),
    table: nameOf('table', suffix),
    stream: nameOf('stream', suffix),
    sink: nameOf('sink', suffix),
    pipeline: nameOf('pipeline', suffix),
  }
  // The pipeline's SQL sees both as tables, by their names.
  if (names.stream === names.sink) throw usage(`--stream and --sink are both ${names.sink}; the SQL needs two names`)
  return names
}

/** The lake that is asked for, if it is one. */
function lakeOf(
  values: Readonly<Partial<Record<string, string | boolean>>> & { readonly binding: string },
  { bucket, namespace, table }: Names,
): LakeOptions['lake'] | undefined {
  const isGiven = (option: string): boolean => (values[option] ?? '') !== ''
  const { jurisdiction } = values
  if (values['lake'] !== true) {
    if (isGiven('jurisdiction')) throw usage('--jurisdiction needs --lake: Basin Catalog exists in none')
    return undefined
  }
  const strangers = STREAM_OPTIONS.filter(isGiven)
  if (strangers.length > 0) throw usage(`--lake takes no --${strangers.join(', no --')}: it has no stream`)
  if (typeof jurisdiction !== 'string') return { bucket, table: `${namespace}.${table}`, binding: values.binding }
  if (!JURISDICTIONS.includes(jurisdiction))
    throw usage(`--jurisdiction ${jurisdiction} is none of: ${JURISDICTIONS.join(', ')}`)
  if (['namespace', 'table'].some(isGiven)) throw usage(`in a jurisdiction the lake's table is ${DEFAULT_TABLE}`)
  return { bucket, jurisdiction, table: DEFAULT_TABLE, binding: values.binding }
}

function rollIntervalOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const seconds = Number(text)
  if (Number.isInteger(seconds) && seconds >= ROLL_INTERVAL_SECONDS_MIN) return seconds
  throw usage(`--roll-interval ${text} is not a whole number of seconds, at least ${ROLL_INTERVAL_SECONDS_MIN}`)
}

async function prepare(options: Options, io: IO): Promise<Job> {
  const target = await readTarget(options, io.cwd)
  const catalogToken = io.env[TOKEN_VARIABLE]?.trim() || undefined
  const project = { config: target.path, environment: target.place.environment }
  return {
    ...(await readStreams(options, dirname(target.path))),
    target,
    wrangler: await Wrangler.find(project, io.env, catalogToken),
    catalogToken,
  }
}

async function readTarget({ config, environment, binding }: Options, cwd: string): Promise<Target> {
  const { path, format } = findConfig(config, cwd)
  const parsed = parseConfig(await readFile(path, 'utf8'), format)
  const place = { environment: chooseEnvironment(parsed, environment), binding }
  return { path, format, place, boundStream: boundStream(parsed, place), boundService: boundService(parsed, place) }
}

/** Reads from streams/, the project's own or the package's, what the stream and the pipeline must be. */
async function readStreams({ names, rollIntervalSeconds }: Options, project: string) {
  const schemaFile = findStreamFile('events.schema.json', project)
  const schema = await readSchema(schemaFile)
  const sql = nameTables(await readFile(findStreamFile('events.sql', project), 'utf8'), names).trim()
  return { wanted: { names, schema, sql, rollIntervalSeconds }, schemaFile }
}

async function readSchema(path: string): Promise<Schema> {
  try {
    return schemaShape.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch (error) {
    throw new CDCError('invalid-config', `${path} is not the schema of a stream: ${problemOf(error)}`, { cause: error })
  }
}

function findStreamFile(name: string, project: string): string {
  const own = join(project, 'streams', name)
  return existsSync(own) ? own : join(import.meta.dirname, '../../streams', name)
}

/** Creates what is missing, in order. A step that fails ends the run, and the next run resumes there. */
async function create(steps: readonly Step[], { wanted, schemaFile, wrangler, catalogToken }: Job, io: IO) {
  const missing = steps.filter(({ action }) => action === 'create')
  if (catalogToken === undefined && missing.some(({ resource }) => resource === 'sink'))
    throw new CDCError(
      'invalid-config',
      `the sink needs a token for the catalog of ${wanted.names.bucket}; put it into the environment as ` +
        `${TOKEN_VARIABLE}; nothing was created`,
    )
  const commands = createCommands(wanted, { schemaFile, catalogToken })
  for (const { resource, name } of missing) {
    if (resource === 'binding') continue
    io.note(`creating the ${resource} ${name} …`)
    await wrangler.run(commands[resource])
  }
}

/** Writes the stream's id into the configuration, which is read again: its owner may have edited it meanwhile. */
async function bind(streamId: string, { path, format, place }: Target, io: IO): Promise<void> {
  const edited = bindStream(await readFile(path, 'utf8'), format, place, streamId)
  const where = `${relative(io.cwd, path)}${place.environment === undefined ? '' : ` under env.${place.environment}`}`
  if (edited === undefined) {
    io.note(`put this into ${where} by hand: a pipeline with binding "${place.binding}" and stream "${streamId}"`)
    return
  }
  await writeFile(path, edited)
  io.note(`bound the stream ${streamId} as ${place.binding} in ${where}`)
}

function conflictHelp(conflicts: readonly Step[], suffix: string): string[] {
  if (conflicts.every(({ resource }) => resource === 'binding'))
    return ['durable-outbox provision: the configuration binds something else there, and nothing was created.']
  const version = Number(/^_v(\d+)$/.exec(suffix)?.[1] ?? 1) + 1
  return [
    'durable-outbox provision: Basin cannot change what conflicts, and nothing was created. Create new ones beside the old',
    `with durable-outbox provision --suffix _v${version}, and migrate as docs/evolving.md describes; or ask for what the account`,
    'has.',
  ]
}
