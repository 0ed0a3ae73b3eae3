// What a graph is made of: nodes and relationships, checked, and encoded once as the JSON that rows and events hold.

import type * as z from 'zod'
import { CDCError } from '../../error.ts'
import { encodeJSON, isCleanText } from '../../event/json.ts'

/** UTF-16 units of a node's id. */
export const NODE_ID_LENGTH_MAX = 200
/** UTF-16 units of a relationship's type. Two ids and a type always fit into the key of an event, escaped as they may be. */
export const RELATIONSHIP_TYPE_LENGTH_MAX = 100

export interface GraphNode<Data> {
  /** Text of 1 to `NODE_ID_LENGTH_MAX`, such as `User/alice`. */
  id: string
  data: Data
}

/** What names a relationship: from one node to another there is at most one of a type. */
export interface RelationshipKey {
  from: string
  to: string
  /** Text of 1 to `RELATIONSHIP_TYPE_LENGTH_MAX`, such as `memberOf`. */
  type: string
}

export interface Relationship<Data> extends RelationshipKey {
  data: Data | null
}

/** A relationship as it is given: without `data` it has none. */
export type RelationshipInput<Data> = RelationshipKey & { data?: Data | null }

/** What the data must be, beyond plain JSON. What a schema makes of it is what is kept. */
export interface GraphSchemas<NodeData, RelationshipData> {
  nodes?: z.ZodType<NodeData>
  relationships?: z.ZodType<RelationshipData | null>
}

/** A node or a relationship, and the text that stands for it. */
export interface Encoded<Row> {
  readonly row: Row
  /** Of its events. */
  readonly key: string
  /** JSON of its data, as its row in SQLite has it. */
  readonly data: string
  /** JSON of all of it, as its events have it. */
  readonly json: string
}

/** @throws {CDCError} `invalid-argument` for an id that can't be one, and for data that isn't plain JSON. */
export function encodeNode<Data>(
  { id, data }: GraphNode<Data>,
  schema: z.ZodType<Data> | undefined,
  method: string,
): Encoded<GraphNode<Data>> {
  checkId(id, `${method}: id`)
  const kept = parse(data, schema, method)
  const text = encodeData(kept, method)
  return { row: { id, data: kept }, key: id, data: text, json: nodeJSON(id, text) }
}

/** @throws {CDCError} like `encodeNode`. */
export function encodeRelationship<Data>(
  { from, to, type, data = null }: RelationshipInput<Data>,
  schema: z.ZodType<Data | null> | undefined,
  method: string,
): Encoded<Relationship<Data>> {
  const key = { from, to, type }
  checkRelationshipKey(key, method)
  const kept = parse(data, schema, method)
  const text = kept === null ? 'null' : encodeData(kept, method)
  return { row: { ...key, data: kept }, key: keyOf(key), data: text, json: relationshipJSON(key, text) }
}

/** UTF-16 units of one JSON array: below SQLite's two megabytes, whatever the characters are. */
const ARRAY_LENGTH_MAX = 500_000

/** Rows as arguments of `json_each`: one JSON array of all of them, or several where they are larger than SQLite takes. */
export function jsonArrays(rows: readonly string[]): string[] {
  const arrays: string[][] = []
  let length = Infinity
  for (const row of rows) {
    length += row.length + 1
    if (length > ARRAY_LENGTH_MAX) {
      arrays.push([])
      length = row.length + 2
    }
    arrays.at(-1)?.push(row)
  }
  return arrays.map((array) => `[${array.join(',')}]`)
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
export function checkRelationshipKey({ from, to, type }: RelationshipKey, method: string): void {
  checkId(from, `${method}: from`)
  checkId(to, `${method}: to`)
  checkType(type, `${method}: type`)
}

/** @param what the method and the argument, for the error. */
export function checkId(id: unknown, what: string): void {
  checkText(id, NODE_ID_LENGTH_MAX, what)
}

export function checkType(type: unknown, what: string): void {
  checkText(type, RELATIONSHIP_TYPE_LENGTH_MAX, what)
}

function checkText(text: unknown, maxLength: number, what: string): void {
  if (typeof text !== 'string' || text === '' || text.length > maxLength)
    throw new CDCError('invalid-argument', `${what} must be text of 1 to ${maxLength} characters`)
  if (!isCleanText(text)) throw new CDCError('invalid-argument', `${what} holds a NUL or half a surrogate pair`)
}

function parse<Data>(data: Data, schema: z.ZodType<Data> | undefined, method: string): Data {
  if (schema === undefined) return data
  const parsed = schema.safeParse(data)
  if (parsed.success) return parsed.data
  const problems = parsed.error.issues.map(({ path, message }) => `${['data', ...path].join('.')}: ${message}`)
  throw new CDCError('invalid-argument', `${method}: ${problems.join('; ')}`)
}

function encodeData(data: unknown, method: string): string {
  if (typeof data !== 'object' || data === null || Array.isArray(data))
    throw new CDCError('invalid-argument', `${method}: data must be an object`)
  // In an event, data is nested in the row.
  return encodeJSON(data, (problem) => new CDCError('invalid-argument', `${method}: ${problem}`), 'data', 1)
}
