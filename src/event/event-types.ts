// Which events there are, and what each holds: the port that whoever emits knows. `defineEvents` makes one, with zod, which
// a Worker that defines no events must not load.

import type { EventInput, GivenEvent, Operation, UnifiedEvent } from './unified-event.ts'

/** What an event of each type holds: what is given to `emit`, and what is read. */
type EventMap = Readonly<Record<string, { readonly input: object; readonly output: object }>>

/** An event's data as it is kept, and which version of its type it is. */
export interface CheckedData {
  readonly data: Record<string, unknown>
  /** From 1. */
  readonly version: number
}

/** The types of events of a class, an emitter or an application. */
export interface EventTypes<Map extends EventMap = EventMap> {
  /** Only for TypeScript. */
  readonly map?: Map
  /** Checks the data of an event that is emitted. @throws {CDCError} `event-invalid`. */
  check(type: string, data: unknown): CheckedData
}

/** What `emit` takes if it knows the types: one of these events, or a change that has an `op` alone. */
export type Emitted<Types> = Types extends EventTypes<infer Map> ? InputOf<Map> | Change : EventInput

/** What is read of events of these types: what they hold is that of the newest version, whoever emitted them. */
export type TypedEvent<Types> =
  Types extends EventTypes<infer Map>
    ? {
        [Type in keyof Map & string]: Omit<UnifiedEvent, 'type' | 'data'> & { type: Type; data: Map[Type]['output'] }
      }[keyof Map & string]
    : never

type Change = Omit<GivenEvent, 'type' | 'op'> & { op: Operation; type?: never }

type InputOf<Map extends EventMap> = {
  [Type in keyof Map & string]: Omit<GivenEvent, 'type' | 'data'> & { type: Type } & DataOf<Map[Type]['input']>
}[keyof Map & string]

/** An event that needs to hold nothing needs no `data`. */
type DataOf<Data extends object> = {} extends Data ? { data?: Data } : { data: Data }
