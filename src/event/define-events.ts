// Types of events as schemas of zod. No other file of the core imports this one, because it loads zod.

import { type $ZodType, type input as InputOf, type output as OutputOf, safeParse } from 'zod/v4/core'
import { CDCError } from '../error.ts'
import { refusal } from '../problem.ts'
import type { CheckedData, EventTypes, TypedEvent } from './event-types.ts'
import { isObject, within } from './kinds.ts'
import { type EventRecord, readEvent } from './record.ts'
import type { UnifiedEvent } from './unified-event.ts'

type Data = Record<string, unknown>

/** What an event of some type holds: a schema, or one that has replaced earlier ones. */
type Definition = $ZodType<object> | VersionedDefinition

interface VersionedDefinition<Schema extends $ZodType<object> = $ZodType<object>> {
  /** The newest version. */
  readonly data: Schema
  /** The first makes the data of version 1 into that of version 2, and so on. None is ever taken out. */
  readonly upcast: readonly ((data: Data) => Data)[]
}

type SchemaOf<Given extends Definition> = Given extends VersionedDefinition<infer Schema> ? Schema : Given

type MapOf<Definitions extends Record<string, Definition>> = {
  readonly [Type in keyof Definitions & string]: {
    readonly input: InputOf<SchemaOf<Definitions[Type]>> & object
    readonly output: OutputOf<SchemaOf<Definitions[Type]>> & object
  }
}

/** Types of events that were defined, for who emits them and for who reads them. */
export class DefinedEvents<Definitions extends Record<string, Definition>> implements EventTypes<MapOf<Definitions>> {
  declare readonly map?: MapOf<Definitions>
  readonly #definitions: ReadonlyMap<string, VersionedDefinition>

  constructor(definitions: Definitions) {
    this.#definitions = new Map(Object.entries(definitions).map(([type, given]) => [type, versioned(given)]))
  }

  check(type: string, data: unknown = {}): CheckedData {
    const definition = this.#definitions.get(type)
    if (definition !== undefined) return { data: parse(definition, type, data, 'emit'), version: versionOf(definition) }
    const known = [...this.#definitions.keys()].join(', ')
    throw new CDCError('event-invalid', `emit: ${type} is not a type of event here; the types are ${known}`)
  }

  /**
   * Reads an event in whatever form it comes: from `outbox.list`, or as the record that a pipeline receives.
   *
   * @returns the event, with the data of the newest version; undefined if it is of another type.
   * @throws {CDCError} `event-invalid` if its data is not that of its type; `schema-newer` if this code is older than it.
   */
  read(received: UnifiedEvent | EventRecord): TypedEvent<this> | undefined {
    const event = readEvent(received)
    const definition = this.#definitions.get(event.type)
    if (definition === undefined) return undefined
    const version = dataVersionOf(event)
    if (version > versionOf(definition))
      throw new CDCError(
        'schema-newer',
        `events.read: ${event.type} ${event.id} has version ${version}, and ${versionOf(definition)} is the newest here; ` +
          'deploy this Worker with the newer definition',
      )
    const data = definition.upcast.slice(version - 1).reduce((older, upcast) => upcast(older), event.data ?? {})
    // Its type is one of those that were defined, and its data was just made by the schema of that type.
    return { ...event, data: parse(definition, event.type, data, 'events.read') } as TypedEvent<this>
  }
}

/**
 * Defines types of events.
 *
 * @param definitions for each type a schema of its data, as `z.object({ … })`; or `{ data, upcast }` once there were earlier
 *   versions. A schema must take what it returns, because data is checked when it is emitted and again when it is read.
 */
export function defineEvents<const Definitions extends Record<string, Definition>>(
  definitions: Definitions,
): DefinedEvents<Definitions> {
  return new DefinedEvents(definitions)
}

function versioned(given: Definition): VersionedDefinition {
  return '_zod' in given ? { data: given, upcast: [] } : given
}

function versionOf({ upcast }: VersionedDefinition): number {
  return upcast.length + 1
}

/** An event that says nothing was emitted before there were versions. */
function dataVersionOf({ _meta }: UnifiedEvent): number {
  const version: unknown = Reflect.get(Object(_meta), 'dataVersion')
  return typeof version === 'number' && version > 1 ? version : 1
}

function parse({ data: schema }: VersionedDefinition, type: string, value: unknown, caller: string): Data {
  const parsed = safeParse(schema, value)
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => within('data', issue))
    throw refusal('event-invalid', `${caller}: ${type}`, problems, { cause: parsed.error })
  }
  if (isObject(parsed.data)) return parsed.data
  throw new CDCError('event-invalid', `${caller}: ${type}: data: must be an object`)
}
