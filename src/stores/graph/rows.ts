// What a graph is made of: nodes and relationships, checked, and encoded once as the JSON that rows and events hold.

import type { $ZodType } from 'zod/v4/core'
import { encodeJSON } from '../../event/json.ts'
import { checkName, describe, invalid, parseWith } from '../checks.ts'
import { limits } from './limits.ts'

export interface GraphNode<Data> {
  /** Text of 1 to `limits.idCharacters`, such as `User/alice`. */
  id: string
  data: Data
}

/** What identifies a relationship: from one node to another there is at most one of a type. */
export interface RelationshipKey {
  from: string
  to: string
  /** Text of 1 to `limits.typeCharacters`, such as `memberOf`. */
  type: string
}

export interface Relationship<Data> extends RelationshipKey {
  data: Data | null
}

/** A relationship to be added. Its data is null if it is left out. */
export type RelationshipInput<Data> = RelationshipKey & { data?: Data | null }

/** A node or a relationship, and the texts that stand for it. */
export interface Encoded<Row> {
  readonly row: Row
  /** The key of its events. */
  readonly key: string
  /** Its data as JSON, as SQLite holds it. */
  readonly data: string
  /** All of it as JSON, as its events hold it. */
  readonly json: string
}

/** @throws {CDCError} `invalid-argument` for an id that is not valid, and for data that is not plain JSON. */
export function encodeNode<Data>(
  { id, data }: GraphNode<Data>,
  schema: $ZodType<Data> | undefined,
  caller: string,
): Encoded<GraphNode<Data>> {
  checkId(id, `${caller}: id`)
  const kept = parse(data, schema, caller)
  const text = encodeData(kept, caller)
  return { row: { id, data: kept }, key: id, data: text, json: nodeJSON(id, text) }
}

/** @throws {CDCError} like `encodeNode`. */
export function encodeRelationship<Data>(
  { from, to, type, data = null }: RelationshipInput<Data>,
  schema: $ZodType<Data | null> | undefined,
  caller: string,
): Encoded<Relationship<Data>> {
  const key = { from, to, type }
  checkRelationshipKey(key, caller)
  const kept = parse(data, schema, caller)
  const text = kept === null ? 'null' : encodeData(kept, caller)
  return { row: { ...key, data: kept }, key: keyOf(key), data: text, json: relationshipJSON(key, text) }
}

export function nodeJSON(id: string, data: string): string {
  return `{"id":${JSON.stringify(id)},"data":${data}}`
}

export function relationshipJSON({ from, to, type }: RelationshipKey, data: string): string {
  return `{"from":${JSON.stringify(from)},"to":${JSON.stringify(to)},"type":${JSON.stringify(type)},"data":${data}}`
}

/** The key of a relationship's events: `User/alice|Team/db|memberOf`, with `\` before a `|` or `\` inside a name. */
export function keyOf({ from, to, type }: RelationshipKey): string {
  return `${escaped(from)}|${escaped(to)}|${escaped(type)}`
}

function escaped(name: string): string {
  return name.includes('|') || name.includes('\\') ? name.replace(/[|\\]/g, String.raw`\$&`) : name
}

/** @throws {CDCError} `invalid-argument`, with the field. */
export function checkRelationshipKey({ from, to, type }: RelationshipKey, caller: string): void {
  checkId(from, `${caller}: from`)
  checkId(to, `${caller}: to`)
  checkType(type, `${caller}: type`)
}

export function checkId(id: unknown, caller: string): void {
  checkName(id, limits.idCharacters, caller)
}

export function checkType(type: unknown, caller: string): void {
  checkName(type, limits.typeCharacters, caller)
}

function parse<Data>(data: Data, schema: $ZodType<Data> | undefined, caller: string): Data {
  return schema === undefined ? data : parseWith(schema, data, caller, 'data')
}

function encodeData(data: unknown, caller: string): string {
  if (typeof data !== 'object' || data === null || Array.isArray(data))
    throw invalid(caller, `data must be an object, not ${describe(data)}`)
  // An event holds the data one level deeper, inside the row.
  return encodeJSON(data, (problem) => invalid(caller, problem), 'data', 1)
}
