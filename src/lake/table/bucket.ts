// R2 as the lake uses it: each call has a limited time, so that one that never answers is a failure like any other, which the lake
// tells and tries again. What was given up may still happen, at any time. That does no harm: a file of the table has a key that
// nothing else will ever have; what is deleted may be deleted twice; the version hint is only a hint; and the metadata of a version
// is stored only if there is none, and found if it was.

import { CDCError } from '../../error.ts'
import { within } from '../../within.ts'

export interface BucketLimits {
  /** How long a call to R2 may take, in milliseconds. The platform ends an alarm after 15 minutes. */
  readonly bucketMs: number
}

type Content = Uint8Array | string

export class Bucket {
  readonly #r2: R2Bucket
  readonly #limitMs: number

  constructor(r2: R2Bucket, { bucketMs }: BucketLimits) {
    this.#r2 = r2
    this.#limitMs = bucketMs
  }

  /** The whole of a file; nothing if there is none. */
  read(key: string): Promise<ArrayBuffer | undefined> {
    const read = async () => (await this.#r2.get(key))?.arrayBuffer()
    return this.#within(`get ${key}`, read())
  }

  async has(key: string): Promise<boolean> {
    return (await this.#within(`head ${key}`, this.#r2.head(key))) !== null
  }

  async put(key: string, content: Content): Promise<void> {
    await this.#within(`put ${key}`, this.#r2.put(key, content))
  }

  /** Stores a file unless there is one. @returns whether it was stored. */
  async putNew(key: string, content: Content): Promise<boolean> {
    const put = this.#r2.put(key, content, { onlyIf: new Headers({ 'If-None-Match': '*' }) })
    return (await this.#within(`put ${key}`, put)) !== null
  }

  async delete(keys: string[]): Promise<void> {
    await this.#within(`delete ${keys.length} files`, this.#r2.delete(keys))
  }

  list(options: R2ListOptions): Promise<R2Objects> {
    return this.#within(`list ${options.prefix ?? ''}`, this.#r2.list(options))
  }

  /** All keys with a prefix, in pages. */
  async *keys(prefix: string): AsyncIterable<string> {
    for (let cursor: string | undefined, isLast = false; !isLast;) {
      const page = await this.list({ prefix, ...(cursor !== undefined && { cursor }) })
      for (const { key } of page.objects) yield key
      isLast = !page.truncated
      cursor = page.truncated ? page.cursor : undefined
    }
  }

  #within<Answer>(call: string, answer: Promise<Answer>): Promise<Answer> {
    const late = () =>
      new CDCError('bucket-timeout', `lake: no answer from R2 in ${this.#limitMs} ms: ${call}`, { retryable: true })
    return within(this.#limitMs, answer, late)
  }
}
