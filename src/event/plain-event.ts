// The verdict of the schema without its price. In workerd, where zod may not compile, an event costs it a third of what
// an insert costs. Here a good event is recognised by its fields; whatever is not recognised, the schema decides about.

import { isPlainObject } from './json.ts'
import { EVENT_DEPTH_MAX, NAME_LENGTH_MAX } from './limits.ts'
import { eventFields, type EventInput } from './unified-event.ts'

const isField: ReadonlyMap<string, (value: unknown) => boolean> = new Map(
  Object.entries({
    id: (value) => eventFields.id.safeParse(value).success,
    type: isName,
    timestamp: (value) => eventFields.timestamp.safeParse(value).success,
    correlationId: isName,
    op: isOneOf(eventFields.op.options),
    store: isOneOf(eventFields.store.options),
    table: isName,
    key: isName,
    before: isPlainField,
    after: isPlainField,
    actor: isName,
    data: isPlainField,
    visibility: isOneOf(eventFields.visibility.options),
  } satisfies Record<keyof EventInput, (value: unknown) => boolean>),
)

/** Whether it is an object literal all of whose fields are good, but for its characters. */
export function isPlainEvent(event: EventInput): boolean {
  return Object.getPrototypeOf(event) === Object.prototype && hasPlainFields(event)
}

/** Whether every field is good, but for its characters: those are in its JSON, for `isPlainText`. */
export function hasPlainFields(event: object): event is Partial<EventInput> {
  for (const name in event) if (isField.get(name)?.(event[name as keyof typeof event]) !== true) return false
  return true
}

/** Whether no string in this JSON holds a NUL or half a surrogate pair: `JSON.stringify` escapes both as `\u`. */
export function isPlainText(json = ''): boolean {
  return !json.includes('\\u')
}

/** Whether it may be a name, but for its characters. */
export function isName(value: unknown): boolean {
  return typeof value === 'string' && value !== '' && value.length <= NAME_LENGTH_MAX
}

function isOneOf(options: readonly unknown[]): (value: unknown) => boolean {
  return (value) => options.includes(value)
}

/** Whether it is an object that JSON can carry, but for the characters of its strings. */
export function isPlainField(value: unknown): boolean {
  return typeof value === 'object' && !Array.isArray(value) && value !== null && isPlain(value, 0)
}

function isPlain(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true
    case 'number':
      return Number.isFinite(value)
    case 'object':
      if (value === null) return true
      if (depth >= EVENT_DEPTH_MAX) return false
      return Array.isArray(value) ? hasPlainElements(value, depth) : hasPlainValues(value, depth)
    default:
      return false
  }
}

/** Not with `every`, which would pass over the holes of a sparse array. */
function hasPlainElements(array: readonly unknown[], depth: number): boolean {
  for (let index = 0; index < array.length; index++) if (!isPlain(array[index], depth + 1)) return false
  return true
}

function hasPlainValues(object: object, depth: number): boolean {
  if (!isPlainObject(object)) return false
  for (const key in object) {
    const child = object[key]
    if (child !== undefined && !isPlain(child, depth + 1)) return false
  }
  return true
}
