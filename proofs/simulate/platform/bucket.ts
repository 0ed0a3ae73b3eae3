// R2: what is stored, and the binding through which a party reaches it.

import type { Answer, Callee, Network } from './network.ts'
import type { Party, Platform } from './platform.ts'

interface Stored {
  readonly key: string
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly uploaded: Date
  readonly etag: string
}

interface ListOptions {
  readonly prefix?: string
  readonly startAfter?: string
  readonly cursor?: string
  readonly limit?: number
}

type Body = string | ArrayBuffer | ArrayBufferView

const KEYS_PER_PAGE = 1_000

export class BucketStore {
  #objects = new Map<string, Stored>()
  #puts = 0
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  copy(): ReadonlyMap<string, Stored> {
    return new Map(this.#objects)
  }

  restore(objects: ReadonlyMap<string, Stored>): void {
    this.#objects = new Map(objects)
  }

  /** @returns null if there is an object already, and it must not be replaced. */
  put(key: string, body: Body, { onlyIfAbsent }: { onlyIfAbsent: boolean }) {
    if (onlyIfAbsent && this.#objects.has(key)) return null
    const stored = { key, bytes: bytesOf(body), uploaded: new Date(this.#now()), etag: `${++this.#puts}` }
    this.#objects.set(key, stored)
    return headOf(stored)
  }

  get(key: string) {
    const stored = this.#objects.get(key)
    return stored === undefined ? null : bodyOf(stored)
  }

  head(key: string) {
    const stored = this.#objects.get(key)
    return stored === undefined ? null : headOf(stored)
  }

  delete(keys: string | readonly string[]): void {
    for (const key of [keys].flat()) this.#objects.delete(key)
  }

  list({ prefix = '', startAfter, cursor, limit = KEYS_PER_PAGE }: ListOptions = {}) {
    const after = cursor ?? startAfter ?? ''
    const keys = [...this.#objects.keys()].filter((key) => key.startsWith(prefix) && key > after).toSorted()
    const page = keys.slice(0, limit)
    const objects = page.flatMap((key) => this.head(key) ?? [])
    const truncated = keys.length > page.length
    return { objects, delimitedPrefixes: [], truncated, ...(truncated && { cursor: page.at(-1) }) }
  }

  /** Access without a network, for who looks at it from outside. */
  direct(): R2Bucket {
    return this.#binding((operation) => Promise.resolve(operation()))
  }

  /** The binding of the party whose code runs: each operation is a call. */
  bindingOf(platform: Platform, network: Network): R2Bucket {
    return this.#binding((operation) => {
      const from: Party = platform.party
      return network.call(from, `${from.name}>bucket`, calleeOf(operation))
    })
  }

  #binding(run: (operation: () => unknown) => Promise<unknown>): R2Bucket {
    const binding = {
      put: (key: string, body: Body, options?: { onlyIf?: Headers }) => {
        const onlyIfAbsent = options?.onlyIf?.get('If-None-Match') === '*'
        return run(() => this.put(key, body, { onlyIfAbsent }))
      },
      get: (key: string) => run(() => this.get(key)),
      head: (key: string) => run(() => this.head(key)),
      delete: (keys: string | readonly string[]) => run(() => this.delete(keys)),
      list: (options?: ListOptions) => run(() => this.list(options)),
    }
    // What of R2's interface is missing here, the lake does not use.
    return binding as unknown as R2Bucket
  }
}

function calleeOf(operation: () => unknown): Callee {
  return {
    take(reply) {
      let answer: Answer
      try {
        answer = { value: operation() }
      } catch (error) {
        answer = { error }
      }
      reply(answer)
    },
  }
}

function headOf({ key, bytes, uploaded, etag }: Stored) {
  return { key, size: bytes.byteLength, uploaded, etag, httpEtag: `"${etag}"`, version: etag }
}

function bodyOf(stored: Stored) {
  const text = (): string => new TextDecoder().decode(stored.bytes)
  return {
    ...headOf(stored),
    arrayBuffer: async () => stored.bytes.slice().buffer,
    text: async () => text(),
    json: async () => JSON.parse(text()) as unknown,
  }
}

function bytesOf(body: Body): Uint8Array<ArrayBuffer> {
  if (typeof body === 'string') return Uint8Array.from(new TextEncoder().encode(body))
  if (body instanceof ArrayBuffer) return new Uint8Array(body.slice(0))
  return Uint8Array.from(new Uint8Array(body.buffer, body.byteOffset, body.byteLength))
}
