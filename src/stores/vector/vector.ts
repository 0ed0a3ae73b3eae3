// What a vector store is given and gives, and how it is checked and becomes a row.

import type * as z from 'zod'
import { isCleanText, jsonProblem } from '../../event/json.ts'
import { NAME_LENGTH_MAX } from '../../event/limits.ts'
import { utf8Bytes } from '../../event/utf8.ts'
import { invalid, schemaProblems } from '../checks.ts'
import { contentHash } from './content-hash.ts'
import { VECTOR_CONTENT_BYTES_MAX } from './limits.ts'
import type { VectorFacts, VectorRow } from './vector-rows.ts'

/** An embedding as it is given. Its numbers are kept as 32-bit floats, so those of an array are rounded to them. */
export type Embedding = Float32Array | readonly number[]

/** A document with its embedding, as it is given. */
export type VectorDocument<M extends object = Record<string, unknown>> = {
  id: string
  /** What was embedded, or whatever a search is to give back. */
  content: string
  embedding: Embedding
} & ({} extends M ? { metadata?: M } : { metadata: M })

/** A document with its embedding, as it is kept. */
export interface StoredVector<M extends object = Record<string, unknown>> {
  id: string
  content: string
  embedding: Float32Array
  metadata: M
}

/** How documents are checked: for messages, who checks. */
export interface VectorShape<M extends object, Input extends object> {
  readonly dimension: number
  readonly schema: z.ZodType<M, Input> | undefined
}

const FIELDS = ['id', 'content', 'embedding', 'metadata']

/** @throws {CDCError} `invalid-argument` */
export function encodeVector<M extends object, Input extends object>(
  document: VectorDocument<Input>,
  shape: VectorShape<M, Input>,
  caller: string,
): VectorRow {
  const { id, content, embedding, metadata = {} } = document
  for (const field in document)
    if (!FIELDS.includes(field)) throw invalid(caller, `unknown field ${field}; fields of your own belong in metadata`)
  if (typeof id !== 'string' || id === '' || id.length > NAME_LENGTH_MAX || !isCleanText(id))
    throw invalid(
      caller,
      `id must be a string of 1 to ${NAME_LENGTH_MAX} characters, without a NUL or half a surrogate pair; not ${describe(id)}`,
    )
  checkContent(content, caller)
  const numbers = checkEmbedding(embedding, shape.dimension, caller)
  return {
    id,
    metadata: encodeMetadata(metadata, shape.schema, caller),
    contentHash: contentHash(numbers, content),
    content,
    embedding: numbers,
  }
}

/** @returns it as 32-bit floats: what was given, where it is that. @throws {CDCError} `invalid-argument` */
export function checkEmbedding(embedding: Embedding, dimension: number, caller: string): Float32Array {
  if (!(embedding instanceof Float32Array) && !Array.isArray(embedding))
    throw invalid(caller, `embedding must be a Float32Array or an array of numbers, not ${describe(embedding)}`)
  if (embedding.length !== dimension)
    throw invalid(caller, `embedding has ${embedding.length} numbers, and the store's dimension is ${dimension}`)
  const numbers = embedding instanceof Float32Array ? embedding : new Float32Array(embedding as readonly number[])
  for (let index = 0; index < dimension; index++)
    if (typeof embedding[index] !== 'number' || !Number.isFinite(numbers[index]))
      throw invalid(caller, `embedding[${index}] is ${describe(embedding[index])}, not a finite 32-bit float`)
  return numbers
}

/** What events say of a document: not its embedding and content, but a hash of them. As JSON text. */
export function encodeFacts({ metadata, contentHash }: Omit<VectorFacts, 'id'>, dimension: number): string {
  return `{"metadata":${metadata},"dimension":${dimension},"contentHash":"${contentHash}"}`
}

function checkContent(content: unknown, caller: string): void {
  if (typeof content !== 'string') throw invalid(caller, `content must be a string, not ${describe(content)}`)
  if (!isCleanText(content)) throw invalid(caller, 'content holds a NUL or half a surrogate pair')
  if (content.length * 3 <= VECTOR_CONTENT_BYTES_MAX) return
  const bytes = utf8Bytes(content)
  if (bytes > VECTOR_CONTENT_BYTES_MAX)
    throw invalid(
      caller,
      `content is ${bytes} bytes, the limit is ${VECTOR_CONTENT_BYTES_MAX}; put it in R2 and its key in metadata`,
    )
}

function encodeMetadata<M extends object, Input extends object>(
  metadata: object,
  schema: z.ZodType<M, Input> | undefined,
  caller: string,
): string {
  const parsed = schema === undefined ? metadata : parse(metadata, schema, caller)
  const isObject = typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)
  const problem = isObject ? jsonProblem(parsed) : `must be an object, not ${describe(parsed)}`
  if (problem !== undefined) throw invalid(caller, `metadata: ${problem}`)
  return JSON.stringify(parsed)
}

function parse<M extends object>(metadata: object, schema: z.ZodType<M>, caller: string): M {
  const parsed = schema.safeParse(metadata)
  if (parsed.success) return parsed.data
  throw invalid(caller, `metadata: ${schemaProblems(parsed.error)}`, parsed.error)
}

function describe(value: unknown): string {
  return typeof value === 'object' && value !== null ? value.constructor.name : String(value)
}
