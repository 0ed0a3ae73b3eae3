// What an update sets: values by path.

import { isPlainObject, jsonProblem } from '../../event/json.ts'
import { invalid } from '../checks.ts'
import type { Fields } from './document.ts'
import { parsePath, type PathOf, type ValueAt, withValueAt } from './path.ts'

/** Values by path. A field that is `undefined` stays as it is; a value that is an object is set as a whole. */
export type DocumentChanges<T> = { [Path in PathOf<T>]?: ValueAt<T, Path> | undefined }

/**
 * Checks changes, once for all documents that they are for.
 *
 * @returns what applies them to the fields of a document; it throws if a path leads into something that has no fields.
 * @throws {CDCError} `invalid-argument` for paths to the store's own fields, paths that overlap, and values that are not
 *   plain JSON.
 */
export function parseChanges(changes: unknown, caller: string): (fields: Fields) => Fields {
  if (!isPlainObject(changes)) throw invalid(caller, 'changes must be a plain object')
  const problem = jsonProblem(changes)
  if (problem !== undefined) throw invalid(caller, problem)
  const given = Object.entries(changes).filter(([, value]) => value !== undefined)
  for (const [path] of given) {
    if (path.startsWith('$')) throw invalid(caller, `${path} belongs to the store; leave it out`)
    const inside = given.find(([other]) => other.startsWith(`${path}.`))
    if (inside !== undefined)
      throw invalid(caller, `${inside[0]} is inside ${path}, which is set as a whole; set one of them`)
  }
  const paths = given.map(([path, value]) => ({ path: parsePath(path, caller), value }))
  return (fields) => paths.reduce((changed, { path, value }) => withValueAt(changed, path, value, caller), fields)
}
