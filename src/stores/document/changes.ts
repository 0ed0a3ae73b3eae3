// What an update sets: values by path.

import { CDCError } from '../../error.ts'
import { jsonProblem } from '../../event/json.ts'
import { type Fields, isPlainObject } from './document.ts'
import { parsePath, type PathOf, type ValueAt, withValueAt } from './path.ts'

/** Values by path. A field that is `undefined` stays as it is; a value that is an object is set as a whole. */
export type DocumentChanges<T> = { [Path in PathOf<T>]?: ValueAt<T, Path> | undefined }

/**
 * Checks changes, once for all documents that they are for.
 *
 * @returns what makes them in the fields of a document; it throws where a path leads into something that has no fields.
 * @throws {CDCError} `invalid-argument` for paths that mean the store's fields or overlap, and for what is no plain JSON.
 */
export function parseChanges(changes: unknown, caller: string): (fields: Fields) => Fields {
  const invalid = (problem: string) => new CDCError('invalid-argument', `${caller}: ${problem}`)
  if (!isPlainObject(changes)) throw invalid('changes must be a plain object')
  const problem = jsonProblem(changes)
  if (problem !== undefined) throw invalid(problem)
  const given = Object.entries(changes).filter(([, value]) => value !== undefined)
  for (const [path] of given) {
    if (path.startsWith('$')) throw invalid(`${path} is the store's own; leave it out`)
    const inside = given.find(([other]) => other.startsWith(`${path}.`))
    if (inside !== undefined) throw invalid(`${path} and ${inside[0]} are the same field; set it once`)
  }
  const paths = given.map(([path, value]) => ({ path: parsePath(path, caller), value }))
  return (fields) => paths.reduce((changed, { path, value }) => withValueAt(changed, path, value, caller), fields)
}
