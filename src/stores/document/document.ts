// What a document is: its owner's fields and the store's own, kept as one JSON text. The text is made once; the table and
// the event are given the same one.

import { encodeJSON, isPlainObject } from '../../event/json.ts'
import { utf8Bytes } from '../../event/utf8.ts'
import { invalid } from '../checks.ts'
import { limits } from './limits.ts'

/** What the store adds to each document. */
export interface DocumentFields {
  /** Given when the document is created; otherwise a ULID. */
  $id: string
  /** 1 when the document is created, one more with each change. */
  $version: number
  /** ISO 8601, UTC. */
  $createdAt: string
  /** ISO 8601, UTC. */
  $updatedAt: string
}

export type Document<T> = T & DocumentFields

export type Fields = Record<string, unknown>

/** A document as the store handles it, independent of the type of its owner's fields. */
export type StoredDocument = Fields & DocumentFields

/** A document and its JSON. */
export interface EncodedDocument {
  readonly document: StoredDocument
  readonly text: string
}

/** Reads what `encodeDocument` wrote. */
export function decodeDocument(text: string): EncodedDocument {
  return { document: JSON.parse(text) as StoredDocument, text }
}

/** A document's fields without the store's own. */
export function ownFields({ $id: _id, $version: _version, $createdAt: _at, $updatedAt: _by, ...own }: Fields): Fields {
  return own
}

/**
 * Makes the text of a document, once it is certain that JSON holds all of it.
 *
 * @throws {CDCError} `invalid-argument` for values that JSON would change, and beyond `limits.documentBytes`.
 */
export function encodeDocument(document: StoredDocument, caller: string): EncodedDocument {
  const text = encodeJSON(document, (problem) => invalid(caller, problem))
  const bytes = byteLength(text)
  if (bytes > limits.documentBytes)
    throw invalid(
      caller,
      `the document is ${bytes} bytes of JSON, the limit is ${limits.documentBytes}, as the event of an update holds it ` +
        'twice; put large values into R2 and keep their keys',
    )
  return { document, text }
}

/**
 * Refuses field names that mean something else here.
 *
 * @returns the fields without those that are undefined, which JSON cannot hold.
 * @throws {CDCError} `invalid-argument`.
 */
export function checkFieldNames(fields: Fields, caller: string): Fields {
  let isComplete = true
  for (const name in fields) {
    if (name.startsWith('$')) throw invalid(caller, `${name} belongs to the store; leave it out`)
    if (name === '' || name.includes('.'))
      throw invalid(
        caller,
        `a field can't be named ${JSON.stringify(name)}, as dots lead to nested fields; rename it, or nest it`,
      )
    isComplete &&= fields[name] !== undefined
  }
  return isComplete ? fields : Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}

/**
 * Whether two values are the same JSON, in any order of fields. Values that JSON cannot hold are never the same, so that
 * they are not skipped here but refused later.
 */
export function isSameJSON(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((element, index) => isSameJSON(element, b[index]))
  if (!isPlainObject(a) || !isPlainObject(b)) return false
  const fields = definedFields(a)
  return (
    fields.length === definedFields(b).length &&
    fields.every((field) => Object.hasOwn(b, field) && isSameJSON(a[field], b[field]))
  )
}

function definedFields(object: Fields): string[] {
  return Object.keys(object).filter((field) => object[field] !== undefined)
}

/** Exact only if it can matter: a character is at most three bytes. */
function byteLength(text: string): number {
  return text.length * 3 <= limits.documentBytes ? text.length : utf8Bytes(text)
}
