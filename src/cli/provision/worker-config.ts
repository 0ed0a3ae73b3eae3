// The wrangler configuration of the project: the one place where the id of the stream is written.

import { isDeepStrictEqual } from 'node:util'
import * as z from 'zod'
import { CDCError } from '../../error.ts'
import { problemOf } from '../command.ts'
import {
  checkEnvironment,
  type ConfigFormat,
  findWranglerConfig,
  formatOf,
  parseConfigText,
} from '../wrangler-config.ts'
import { extendConfig, inEnvironment } from './extend-config.ts'

const scopeShape = z.looseObject({
  pipelines: z.array(z.looseObject({ binding: z.string(), stream: z.string().optional() })).optional(),
  services: z.array(z.looseObject({ binding: z.string(), service: z.string() })).optional(),
})
const configShape = scopeShape.extend({ env: z.record(z.string(), scopeShape).optional() })

export type WorkerConfig = z.infer<typeof configShape>
type Scope = z.infer<typeof scopeShape>
type Binding = NonNullable<Scope['pipelines']>[number]

/** Where a stream is bound: a binding's name, in an environment or at the top level. */
export interface Place {
  readonly environment?: string | undefined
  readonly binding: string
}

/** Finds the configuration as wrangler does, from `cwd` upwards. */
export function findConfig(option: string | undefined, cwd: string): { path: string; format: ConfigFormat } {
  const path = findWranglerConfig(option, cwd)
  return { path, format: formatOf(path) }
}

/** Reads a configuration. Fields that are not needed here are kept as they are. */
export function parseConfig(text: string, format: ConfigFormat): WorkerConfig {
  return parseConfigAs(configShape, text, format)
}

/** @throws {CDCError} `invalid-config`. */
export function parseConfigAs<T extends z.ZodType>(shape: T, text: string, format: ConfigFormat): z.infer<T> {
  try {
    return shape.parse(parseConfigText(text, format))
  } catch (error) {
    throw new CDCError('invalid-config', `the wrangler configuration cannot be read: ${problemOf(error)}`, {
      cause: error,
    })
  }
}

/**
 * Chooses the environment that is deployed: the named one, or `production` if there is one, or the top level.
 *
 * @throws {CDCError} `invalid-argument` if there is none of the given name.
 */
export function chooseEnvironment(
  { env = {} }: { env?: Readonly<Record<string, unknown>> | undefined },
  option: string | undefined,
): string | undefined {
  if (option === undefined) return Object.hasOwn(env, 'production') ? 'production' : undefined
  checkEnvironment(env, option)
  return option
}

/** The id of the stream that is bound at a place. */
export function boundStream(config: WorkerConfig, place: Place): string | undefined {
  return bindingsAt(config, place).find(({ binding }) => binding === place.binding)?.stream
}

/** The service that is bound at a place, as a lake is. */
export function boundService(config: WorkerConfig, { environment, binding }: Place): string | undefined {
  return scopeAt(config, environment)?.services?.find((service) => service.binding === binding)?.service
}

/**
 * Binds a stream at a place, and leaves every other byte of the configuration as it is. Where in the text the place is
 * need not be known: of all texts that could be right, it takes one that reads back as exactly what is wanted.
 *
 * @returns the new text, or nothing if no text does.
 */
export function bindStream(text: string, format: ConfigFormat, place: Place, stream: string): string | undefined {
  const config = parseConfig(text, format)
  const old = boundStream(config, place)
  if (old === undefined) return addBinding(text, format, place, stream)
  const goal = withStream(config, place, stream)
  return replaced(text, old, stream).find((candidate) => isDeepStrictEqual(parseIfValid(candidate, format), goal))
}

function addBinding(text: string, format: ConfigFormat, place: Place, stream: string): string | undefined {
  const { environment, binding } = place
  // A binding without a stream gives it by its old name.
  if (bindingsAt(parseConfig(text, format), place).some((entry) => entry.binding === binding)) return undefined
  return extendConfig(text, format, inEnvironment(environment, { pipelines: [{ binding, stream }] }))
}

/** Texts with the new id in one of the places in which the old id stands in quotes. */
function replaced(text: string, old: string, stream: string): string[] {
  return [JSON.stringify(old), `'${old}'`].flatMap((literal) => {
    const parts = text.split(literal)
    const quote = literal.charAt(0)
    return parts
      .slice(1)
      .map((_, index) =>
        [parts.slice(0, index + 1).join(literal), parts.slice(index + 1).join(literal)].join(quote + stream + quote),
      )
  })
}

function parseIfValid(text: string, format: ConfigFormat): WorkerConfig | undefined {
  try {
    return parseConfig(text, format)
  } catch {
    return undefined
  }
}

function bindingsAt(config: WorkerConfig, { environment }: Place): readonly Binding[] {
  return scopeAt(config, environment)?.pipelines ?? []
}

function scopeAt(config: WorkerConfig, environment: string | undefined): Scope | undefined {
  return environment === undefined ? config : config.env?.[environment]
}

function withStream(config: WorkerConfig, place: Place, stream: string): WorkerConfig {
  const { environment, binding } = place
  const pipelines = bindingsAt(config, place).map((entry) => (entry.binding === binding ? { ...entry, stream } : entry))
  if (environment === undefined) return { ...config, pipelines }
  return { ...config, env: { ...config.env, [environment]: { ...config.env?.[environment], pipelines } } }
}
