// The fields of an object: what each may hold, which must be there, and whether there may be others. One table of kinds gives
// the verdict, the words of a refusal, and the JSON Schema.

import type { CDCErrorCode } from '../error.ts'
import { type Problem, refusal } from '../problem.ts'
import { isObject, type Kind, within } from './kinds.ts'

/** The fields of a `T`. They are themselves a kind, for objects within objects. */
export interface Fields<T extends object> extends Kind<T> {
  readonly kinds: ReadonlyMap<string, Kind>
  /** A condition on several fields, asked if each of them is good. */
  readonly rule: (value: T) => Problem | undefined
  /** What is wrong with a value, field by field: nothing if it is a `T`. @param isPlain as for a kind. */
  problems(value: unknown, isPlain?: boolean): readonly Problem[]
  /** A good object with the fields of the table alone, and with the defaults of those that are absent. */
  take(value: unknown): T
  /** Checks and takes. @throws {CDCError} of the given code, naming each field that is wrong. */
  parse(value: unknown, caller: string, code: CDCErrorCode): T
}

/** One type or another, by whether a property is required. */
export type IfRequired<T, Name extends keyof T, Then, Else> =
  Pick<T, Name> extends Required<Pick<T, Name>> ? Then : Else

/** A kind for each property of a `T`, and an optional one for an optional property. */
type KindsOf<T> = {
  readonly [Name in keyof T as string extends Name ? never : Name]-?: IfRequired<
    T,
    Name,
    Kind<T[Name]>,
    Kind<NonNullable<T[Name]>> & { readonly isOptional: true }
  >
}

interface Rules<T> {
  /** Why a field that is not in the table is refused. By default it is not looked at. */
  readonly others?: string
  readonly rule?: (value: T) => Problem | undefined
}

export function fieldsOf<T extends object>(
  table: KindsOf<T>,
  { others, rule = () => undefined }: Rules<T> = {},
): Fields<T> {
  const kinds = new Map<string, Kind>(Object.entries(table))
  const required = Array.from(kinds).flatMap(([name, kind]) => (isRequired(kind) ? [name] : []))

  function problems(value: unknown, isPlain = false): readonly Problem[] {
    if (!isObject(value)) return [{ path: [], message: 'expected an object' }]
    const found: Problem[] = []
    for (const name in value) {
      const field = value[name]
      // A property that is undefined counts as absent, as TypeScript users write it.
      const problem = field === undefined ? undefined : fieldProblem(name, field, isPlain)
      if (problem !== undefined) found.push(within(name, problem))
    }
    for (const name of required) if (value[name] === undefined) found.push({ path: [name], message: 'is missing' })
    const broken = found.length === 0 ? rule(value as T) : undefined
    return broken === undefined ? found : [broken]
  }

  function fieldProblem(name: string, value: unknown, isPlain: boolean): Problem | undefined {
    const kind = kinds.get(name)
    if (kind !== undefined) return kind.problem(value, isPlain)
    return others === undefined ? undefined : { path: [], message: others }
  }

  function take(value: unknown): T {
    const given = Object(value) as Record<string, unknown>
    const taken: Record<string, unknown> = {}
    for (const [name, { defaultValue }] of kinds) {
      const field = given[name] ?? defaultValue
      if (field !== undefined) taken[name] = field
    }
    return taken as T
  }

  function parse(value: unknown, caller: string, code: CDCErrorCode): T {
    const found = problems(value)
    if (found.length > 0) throw refusal(code, caller, found)
    return take(value)
  }

  return {
    kinds,
    rule,
    problems,
    take,
    parse,
    problem: (value, isPlain) => problems(value, isPlain)[0],
    json: {
      type: 'object',
      properties: Object.fromEntries(Array.from(kinds, ([name, kind]) => [name, kind.json])),
      required,
      ...(others !== undefined && { additionalProperties: false }),
    },
  }
}

function isRequired({ isOptional = false, defaultValue }: Kind): boolean {
  return !isOptional && defaultValue === undefined
}
