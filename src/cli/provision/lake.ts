// durable-outbox provision --lake: creates what a deployed lake needs, and adds to the wrangler configuration what binds
// it. What exists is kept, and never changed or deleted.

import { readFile, writeFile } from 'node:fs/promises'
import { relative } from 'node:path'
import { CDCError } from '../../error.ts'
import type { ExitCode, IO } from '../command.ts'
import { printJSON } from '../output.ts'
import type { ConfigFormat } from '../wrangler-config.ts'
import { extendConfig, type Fragment, showFragments } from './extend-config.ts'
import { createLakeCommands, readLake } from './lake-account.ts'
import {
  CATALOG_TOKEN_NAME,
  type FoundLake,
  type LakeStep,
  parseLakeConfig,
  planLake,
  type WantedLake,
} from './lake-plan.ts'
import { printPlan } from './print.ts'
import { chooseEnvironment, findConfig } from './worker-config.ts'
import { unlessWithoutLogin, Wrangler, type WranglerCommand } from './wrangler.ts'

const NOTHING: FoundLake = { hasBucket: false, secrets: [] }

export interface LakeOptions {
  readonly dryRun: boolean
  readonly json: boolean
  readonly lake: Omit<WantedLake, 'environment'>
  readonly environment: string | undefined
  readonly config: string | undefined
}

/** The wrangler configuration that binds the lake. */
interface Target {
  readonly path: string
  readonly format: ConfigFormat
}

/** What a run works with. */
interface Job {
  readonly wanted: WantedLake
  readonly target: Target
  readonly wrangler: Wrangler
  readonly catalogToken: string | undefined
}

export async function provisionLake(options: LakeOptions, io: IO): Promise<ExitCode> {
  const job = await prepare(options, io)
  const { wanted, target, wrangler } = job
  const isDryRun = options.dryRun
  const reading = readLake(wanted, wrangler)
  const found = await (isDryRun ? unlessWithoutLogin(reading) : reading)
  const isAccountRead = found !== undefined
  const steps = planLake(wanted, found ?? NOTHING, await readConfig(target))
  if (options.json) printJSON({ accountRead: isAccountRead, steps }, io)
  else printPlan(steps, { isDryRun, isAccountRead }, io)

  if (hasConflict(steps)) return explainConflict(io)
  if (isDryRun) return 0
  await create(steps, job, io)
  // Only now is the catalog's address known, and the configuration's owner may have edited it meanwhile.
  const left = planLake(wanted, await readLake(wanted, wrangler), await readConfig(target))
  if (hasConflict(left)) {
    printPlan(left, { isDryRun, isAccountRead }, { ...io, line: io.note })
    return explainConflict(io)
  }
  const unseen = left.find(({ action }) => action === 'create')
  if (unseen !== undefined)
    throw new CDCError('not-found', `the new ${unseen.resource} is not visible yet; run it again in a minute`, {
      retryable: true,
    })
  await addToConfig(left, target, io)
  return 0
}

async function prepare({ lake, config, environment: option }: LakeOptions, io: IO): Promise<Job> {
  const target = findConfig(config, io.cwd)
  const environment = chooseEnvironment(await readConfig(target), option)
  const catalogToken = io.env[CATALOG_TOKEN_NAME]?.trim() || undefined
  const wrangler = await Wrangler.find({ config: target.path, environment }, io.env, catalogToken)
  return { wanted: { ...lake, environment }, target, wrangler, catalogToken }
}

async function readConfig({ path, format }: Target) {
  return parseLakeConfig(await readFile(path, 'utf8'), format)
}

/** Creates what is missing, in order. A step that fails ends the run, and the next run resumes there. */
async function create(steps: readonly LakeStep[], { wanted, wrangler, catalogToken }: Job, io: IO): Promise<void> {
  const missing = steps.filter(({ action }) => action === 'create')
  if (catalogToken === undefined && missing.some(({ resource }) => resource === 'secret'))
    throw new CDCError(
      'invalid-config',
      `the lake needs a token for the catalog of ${wanted.bucket}; put it into the environment as ` +
        `${CATALOG_TOKEN_NAME}; nothing was created`,
    )
  const commands: Readonly<Partial<Record<LakeStep['resource'], WranglerCommand>>> = createLakeCommands(
    wanted,
    catalogToken,
  )
  for (const { resource, name } of missing) {
    const command = commands[resource]
    if (command === undefined) continue
    io.note(`creating the ${resource} ${name} …`)
    await wrangler.run(command)
  }
}

/** Adds what it can, in one write, and shows the rest as its owner would write it. */
async function addToConfig(steps: readonly LakeStep[], { path, format }: Target, io: IO): Promise<void> {
  const additions = steps.flatMap(({ name, addition }) => (addition === undefined ? [] : [{ name, addition }]))
  if (additions.length === 0) return
  const where = relative(io.cwd, path)
  const byHand: Fragment[] = []
  let text = await readFile(path, 'utf8')
  for (const { name, addition } of additions) {
    const extended = extendConfig(text, format, addition)
    if (extended === undefined) byHand.push(addition)
    else io.note(`adding ${name} to ${where}`)
    text = extended ?? text
  }
  await writeFile(path, text)
  if (byHand.length > 0) {
    io.note(`add this to ${where} by hand:`)
    for (const line of showFragments(byHand, format).split('\n')) io.note(line)
  }
  io.note("the Worker's main module must have: export { Lake, LakeTable } from 'durable-outbox/lake'")
}

function hasConflict(steps: readonly LakeStep[]): boolean {
  return steps.some(({ action }) => action === 'conflict')
}

function explainConflict(io: IO): ExitCode {
  io.note(
    'durable-outbox provision: what exists is never changed. Change by hand what conflicts, or ask for what there',
  )
  io.note('is; then run it again.')
  return 1
}
