// The classes of the Worker that this runs in, by their names.

import { exports } from 'cloudflare:workers'

/** Finds a class's binding by the class's name; undefined if there is none. */
export type FindClass = (className: string) => ClassNamespace | undefined

export interface ClassNamespace {
  idFromString(id: string): DurableObjectId
  get(id: DurableObjectId): unknown
}

/** The class as the Worker exports it. */
export function exportedClass(className: string): ClassNamespace | undefined {
  const exported: unknown = Object.hasOwn(exports, className) ? Reflect.get(exports, className) : undefined
  return isNamespace(exported) ? exported : undefined
}

function isNamespace(candidate: unknown): candidate is ClassNamespace {
  const isObject = typeof candidate === 'object' || typeof candidate === 'function'
  return isObject && candidate !== null && 'idFromString' in candidate && 'get' in candidate
}
