// The wrangler configuration: found as wrangler finds it, so that both work with the same one, and read without wrangler.

import { existsSync, readFileSync } from 'node:fs'
import { dirname, extname, join, resolve } from 'node:path'
import { parse as parseJSONC, type ParseError, printParseErrorCode } from 'jsonc-parser'
import { parse as parseTOML } from 'smol-toml'
import * as z from 'zod'
import { CDCError } from '../error.ts'
import { type IO, problemOf, usage } from './command.ts'

/** In the order in which wrangler itself looks for its configuration. */
const CONFIG_NAMES = ['wrangler.json', 'wrangler.jsonc', 'wrangler.toml']

/** The options of every command that reads it, and their help. */
export const CONFIG_OPTIONS = { config: { type: 'string' }, env: { type: 'string' } } as const

export const CONFIG_HELP = `\
  --config <file>   the wrangler configuration; default: the nearest wrangler.json, wrangler.jsonc
                    or wrangler.toml, here or in a folder above
  --env <name>      the environment in it, as for wrangler dev; default: CLOUDFLARE_ENV in the
                    environment, otherwise the top level`

export interface ConfigOptions {
  readonly config?: string | undefined
  readonly env?: string | undefined
}

/** wrangler's own. */
const DEV_PORT = 8787

/** The bucket that the lake writes to, by its binding. */
export const LAKE_BINDING = 'LAKE_BUCKET'

export type ConfigFormat = 'toml' | 'jsonc'

const bucketsShape = z.looseObject({
  r2_buckets: z.array(z.looseObject({ binding: z.string(), bucket_name: z.string().optional() })).optional(),
})
const projectShape = bucketsShape.extend({
  dev: z.looseObject({ port: z.int().optional(), local_protocol: z.enum(['http', 'https']).optional() }).optional(),
  env: z.record(z.string(), bucketsShape).optional(),
})

/** What the command needs to know of a project, beside its bindings. */
export type Project = z.infer<typeof projectShape>

/** Reads a configuration that was found. @throws {CDCError} `invalid-config`. */
export function readProject(path: string): Project {
  try {
    return projectShape.parse(parseConfigText(readFileSync(path, 'utf8'), formatOf(path)))
  } catch (error) {
    if (error instanceof CDCError) throw error
    throw new CDCError('invalid-config', `${path} cannot be read: ${problemOf(error)}`, { cause: error })
  }
}

/**
 * The environment that a command line names, or as wrangler has it the environment of the process; nothing for the top
 * level, which an empty name means too.
 *
 * @throws {CDCError} `invalid-argument` if the configuration has no such environment.
 */
export function environmentOf({ env: option }: ConfigOptions, path: string, env: IO['env']): string | undefined {
  const name = option ?? env['CLOUDFLARE_ENV'] ?? ''
  if (name === '') return undefined
  checkEnvironment(readProject(path).env ?? {}, name)
  return name
}

/** @throws {CDCError} `invalid-argument`, with the names that there are. */
export function checkEnvironment(environments: Readonly<Record<string, unknown>>, name: string): void {
  if (Object.hasOwn(environments, name)) return
  throw usage(`the configuration has no environment ${name}; it has: ${Object.keys(environments).join(', ') || 'none'}`)
}

/** The environments that bind another bucket for the lake than the one that is asked. */
export function otherLakes({ env = {}, ...top }: Project, environment: string | undefined): string[] {
  const own = lakeIn(environment === undefined ? top : env[environment])
  return Object.keys(env).filter((name) => ![undefined, own].includes(lakeIn(env[name])))
}

function lakeIn(scope: z.infer<typeof bucketsShape> | undefined): string | undefined {
  return scope?.r2_buckets?.find(({ binding }) => binding === LAKE_BINDING)?.bucket_name
}

/** Where `wrangler dev` listens. */
export function devAddress({ dev }: Pick<Project, 'dev'>): string {
  return `${dev?.local_protocol ?? 'http'}://localhost:${dev?.port ?? DEV_PORT}`
}

/** By the name of the file. @throws {CDCError} `invalid-argument` for a name that wrangler would not read either. */
export function formatOf(path: string): ConfigFormat {
  const format = { '.toml': 'toml', '.json': 'jsonc', '.jsonc': 'jsonc' }[extname(path)]
  if (format === 'toml' || format === 'jsonc') return format
  throw usage(`${path} is none of .toml, .json and .jsonc`)
}

/** @throws {Error} for a text that is not of its format. */
export function parseConfigText(text: string, format: ConfigFormat): unknown {
  return format === 'toml' ? parseTOML(text) : parseStrictJSONC(text)
}

function parseStrictJSONC(text: string): unknown {
  const errors: ParseError[] = []
  const value: unknown = parseJSONC(text, errors, { allowTrailingComma: true })
  const [error] = errors
  if (error !== undefined) throw new Error(`${printParseErrorCode(error.error)} at offset ${error.offset}`)
  return value
}

/** @param option the path that `--config` gives. @throws {CDCError} `invalid-argument` or `invalid-config` if there is none. */
export function findWranglerConfig(option: string | undefined, cwd: string): string {
  const path = lookForConfig(option, cwd)
  if (path !== undefined) return path
  throw new CDCError(
    'invalid-config',
    `no ${CONFIG_NAMES.slice(0, -1).join(', ')} or ${CONFIG_NAMES.at(-1)} in ${cwd} or above; name it with --config`,
  )
}

/** The same for a command that can do without one. @throws {CDCError} `invalid-argument` if the named one does not exist. */
export function lookForConfig(option: string | undefined, cwd: string): string | undefined {
  if (option !== undefined) {
    const path = resolve(cwd, option)
    if (existsSync(path)) return path
    throw usage(`--config ${option} does not exist`)
  }
  return CONFIG_NAMES.map((name) => findUpwards(name, cwd)).find((path) => path !== undefined)
}

function findUpwards(name: string, folder: string): string | undefined {
  const path = join(folder, name)
  if (existsSync(path)) return path
  return folder === dirname(folder) ? undefined : findUpwards(name, dirname(folder))
}
