// The documents of a vector store, and how they are checked and become rows.

import type { $ZodType } from 'zod/v4/core'
import { encodeJSON, isCleanText } from '../../event/json.ts'
import { NAME_LENGTH_MAX } from '../../event/limits.ts'
import { utf8Bytes } from '../../event/utf8.ts'
import { checkName, describe, invalid, parseWith } from '../checks.ts'
import { contentHash } from './content-hash.ts'
import { limits } from './limits.ts'
import type { VectorFacts, VectorRow } from './vector-rows.ts'

/** An embedding to be stored or searched for. Its numbers are kept as 32-bit floats; those of an array are rounded to them. */
export type Embedding = Float32Array | readonly number[]

/** A document with its embedding, to be stored. */
export type VectorDocument<M extends object = Record<string, unknown>> = {
  id: string
  /** The text that was embedded, or any other text for a search to return. */
  content: string
  embedding: Embedding
} & ({} extends M ? { metadata?: M } : { metadata: M })

/** A document with its embedding, as it is stored. */
export interface StoredVector<M extends object = Record<string, unknown>> {
  id: string
  content: string
  embedding: Float32Array
  metadata: M
}

/** What documents are checked against. */
export interface VectorShape<M extends object, Input extends object> {
  readonly dimension: number
  readonly schema: $ZodType<M, Input> | undefined
}

const FIELDS = ['id', 'content', 'embedding', 'metadata']

/** @throws {CDCError} `invalid-argument`. */
export function encodeVector<M extends object, Input extends object>(
  document: VectorDocument<Input>,
  shape: VectorShape<M, Input>,
  caller: string,
): VectorRow {
  const { id, content, embedding, metadata = {} } = document
  for (const field in document)
    if (!FIELDS.includes(field)) throw invalid(caller, `unknown field ${field}; put your own fields into metadata`)
  checkName(id, NAME_LENGTH_MAX, `${caller}: id`)
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

/** @returns the embedding as 32-bit floats: the same object if it is one already. @throws {CDCError} `invalid-argument`. */
export function checkEmbedding(embedding: Embedding, dimension: number, caller: string): Float32Array {
  if (!(embedding instanceof Float32Array) && !Array.isArray(embedding))
    throw invalid(caller, `embedding must be a Float32Array or an array of numbers, not ${describe(embedding)}`)
  if (embedding.length !== dimension)
    throw invalid(caller, `embedding has ${embedding.length} numbers, but the store's dimension is ${dimension}`)
  const numbers = embedding instanceof Float32Array ? embedding : new Float32Array(embedding as readonly number[])
  for (let index = 0; index < dimension; index++)
    if (typeof embedding[index] !== 'number' || !Number.isFinite(numbers[index]))
      throw invalid(caller, `embedding[${index}] is ${describe(embedding[index])}, not a finite 32-bit float`)
  return numbers
}

/** What events hold of a document, as JSON: a hash instead of its embedding and content. */
export function encodeFacts({ metadata, contentHash }: Omit<VectorFacts, 'id'>, dimension: number): string {
  return `{"metadata":${metadata},"dimension":${dimension},"contentHash":"${contentHash}"}`
}

function checkContent(content: unknown, caller: string): void {
  if (typeof content !== 'string') throw invalid(caller, `content must be a string, not ${describe(content)}`)
  if (!isCleanText(content)) throw invalid(caller, 'content has a NUL or half a surrogate pair')
  if (content.length * 3 <= limits.contentBytes) return
  const bytes = utf8Bytes(content)
  if (bytes > limits.contentBytes)
    throw invalid(
      caller,
      `content is ${bytes} bytes, the limit is ${limits.contentBytes}; put it into R2 and its key into metadata`,
    )
}

function encodeMetadata<M extends object, Input extends object>(
  metadata: object,
  schema: $ZodType<M, Input> | undefined,
  caller: string,
): string {
  const parsed = schema === undefined ? metadata : parseWith(schema, metadata, caller, 'metadata')
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw invalid(caller, `metadata must be an object, not ${describe(parsed)}`)
  return encodeJSON(parsed, (problem) => invalid(caller, `metadata: ${problem}`))
}
