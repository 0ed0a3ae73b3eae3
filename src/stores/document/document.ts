// What a document is: the fields of its owner and the store's own, kept as one JSON text. The text is made once; the
// table and the event are given the same one.

import { CDCError } from '../../error.ts'
import { encodeJSON, isCleanText, isPlainObject } from '../../event/json.ts'
import { utf8Bytes } from '../../event/utf8.ts'
import { NAME_LENGTH_MAX } from '../../event/limits.ts'
import { DOCUMENT_BYTES_MAX } from './limits.ts'

/** What the store adds to each document. */
export interface DocumentFields {
  /** Given at creation, else a ULID. */
  $id: string
  /** 1 at creation, one more with each change. */
  $version: number
  /** ISO 8601, UTC. */
  $createdAt: string
  $updatedAt: string
}

export type Document<T> = T & DocumentFields

export type Fields = Record<string, unknown>

/** A document as the store handles it, whatever the type of its own fields. */
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

/** The fields of a document that are its owner's. */
export function ownFields({ $id: _id, $version: _version, $createdAt: _at, $updatedAt: _by, ...own }: Fields): Fields {
  return own
}

/**
 * Makes the text of a document, once it is sure that JSON says all of it.
 *
 * @throws {CDCError} `invalid-argument` for what JSON would change, and beyond `DOCUMENT_BYTES_MAX`.
 */
export function encodeDocument(document: StoredDocument, caller: string): EncodedDocument {
  const text = encodeJSON(document, (problem) => new CDCError('invalid-argument', `${caller}: ${problem}`))
  const bytes = byteLength(text)
  if (bytes > DOCUMENT_BYTES_MAX)
    throw new CDCError(
      'invalid-argument',
      `${caller}: the document is ${bytes} bytes of JSON, the limit is ${DOCUMENT_BYTES_MAX}, as the event of an update ` +
        'holds it twice; put what is large into R2 and keep its key',
    )
  return { document, text }
}

/**
 * Refuses names that mean something else here.
 *
 * @returns the fields without those that are undefined, of which JSON knows nothing.
 * @throws {CDCError} `invalid-argument`.
 */
export function checkNames(fields: Fields, caller: string): Fields {
  let isComplete = true
  for (const name in fields) {
    if (name.startsWith('$'))
      throw new CDCError('invalid-argument', `${caller}: ${name} is the store's own; leave it out`)
    if (name === '' || name.includes('.'))
      throw new CDCError(
        'invalid-argument',
        `${caller}: a field can't be named ${JSON.stringify(name)}: dots lead to fields inside; rename it, or put it deeper`,
      )
    isComplete &&= fields[name] !== undefined
  }
  return isComplete ? fields : Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}

/** @throws {CDCError} `invalid-argument` for what can't be the key of an event. */
export function checkId($id: unknown, caller: string): asserts $id is string {
  if (typeof $id === 'string' && $id !== '' && $id.length <= NAME_LENGTH_MAX && isCleanText($id)) return
  throw new CDCError(
    'invalid-argument',
    `${caller}: $id must be a string of 1 to ${NAME_LENGTH_MAX} characters, without NUL or half a surrogate pair`,
  )
}

/**
 * Whether JSON would say the same of both, whatever the order of fields. What JSON can't say is never the same, so that it
 * is not passed over but refused later.
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

/** Counted only where it matters: a character has at most three bytes. */
function byteLength(text: string): number {
  return text.length * 3 <= DOCUMENT_BYTES_MAX ? text.length : utf8Bytes(text)
}
