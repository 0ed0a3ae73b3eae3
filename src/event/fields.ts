// The fields of an object: what each may hold, which must be there, and whether there may be others. One table of kinds gives
// the verdict, the words of a refusal, and the JSON Schema.

import type { CDCErrorCode } from '../error.ts'
import { type Problem, refusal } from '../problem.ts'
import { asProblem, isObject, type JSONSchema, type Kind, within, type Wrong } from './kinds.ts'

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
  readonly rule?: (value: T) => Wrong | undefined
}

/** The fields of a `T`. They are themselves a kind, for objects within objects. */
export class Fields<T extends object> implements Kind<T> {
  readonly kinds: ReadonlyMap<string, Kind>
  readonly json: JSONSchema
  declare readonly defaultValue?: T
  /** A condition on several fields, asked if each of them is good. */
  readonly rule: (value: T) => Wrong | undefined
  readonly #required: readonly string[]
  readonly #others: string | undefined

  constructor(table: KindsOf<T>, { others, rule = () => undefined }: Rules<T> = {}) {
    this.kinds = new Map<string, Kind>(Object.entries(table))
    this.rule = rule
    this.#required = Array.from(this.kinds).flatMap(([name, kind]) => (isRequired(kind) ? [name] : []))
    this.#others = others
    this.json = {
      type: 'object',
      properties: Object.fromEntries(Array.from(this.kinds, ([name, kind]) => [name, kind.json])),
      required: this.#required,
      ...(others !== undefined && { additionalProperties: false }),
    }
  }

  readonly problem = (value: unknown, isPlain?: boolean): Problem | undefined => this.problems(value, isPlain)[0]

  /** What is wrong with a value, field by field: nothing if it is a `T`. @param isPlain as for a kind. */
  problems(value: unknown, isPlain = false): readonly Problem[] {
    if (!isObject(value)) return [asProblem('expected an object')]
    const found: Problem[] = []
    for (const name in value) {
      const field = value[name]
      // A property that is undefined counts as absent, as TypeScript users write it.
      if (field === undefined) continue
      const kind = this.kinds.get(name)
      const wrong = kind === undefined ? this.#others : kind.problem(field, isPlain)
      if (wrong !== undefined) found.push(within(name, wrong))
    }
    for (const name of this.#required) if (value[name] === undefined) found.push(within(name, 'is missing'))
    const broken = found.length === 0 ? this.rule(value as T) : undefined
    return broken === undefined ? found : [asProblem(broken)]
  }

  /** A good object with the fields of the table alone, and with the defaults of those that are absent. */
  take(value: unknown): T {
    const given = Object(value) as Record<string, unknown>
    const taken: Record<string, unknown> = {}
    for (const [name, { defaultValue }] of this.kinds) {
      const field = given[name] ?? defaultValue
      if (field !== undefined) taken[name] = field
    }
    return taken as T
  }

  /** Checks and takes. @throws {CDCError} of the given code, naming each field that is wrong. */
  parse(value: unknown, caller: string, code: CDCErrorCode): T {
    const problems = this.problems(value)
    if (problems.length > 0) throw refusal(code, caller, problems)
    return this.take(value)
  }
}

function isRequired({ isOptional = false, defaultValue }: Kind): boolean {
  return !isOptional && defaultValue === undefined
}
