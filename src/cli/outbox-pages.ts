// Answers of an outbox that come in pages: what a page is, and how to go on to the next.

import * as z from 'zod'
import { readAnswer } from './admin-client.ts'

const jsonSchema = z.json()
export const itemSchema = z.record(z.string(), jsonSchema)
const pageSchema = z.object({ items: z.array(itemSchema), nextLSN: z.int().optional() })

export type Json = z.infer<typeof jsonSchema>
/** An event or a dead letter, as the server gave it. */
export type Item = z.infer<typeof itemSchema>
type Page = z.infer<typeof pageSchema>

/** Reads a page, or with `isAll` every page. `read` is given where the page begins, and for the first one nothing. */
export async function* readPages(
  read: (from: number | undefined) => Promise<unknown>,
  isAll: boolean,
): AsyncGenerator<Page> {
  let from: number | undefined
  do {
    const page = readAnswer(pageSchema, await read(from))
    yield page
    from = isAll ? page.nextLSN : undefined
  } while (from !== undefined)
}

/** How many were done, and where to go on if that was not all. */
export interface Count {
  readonly done: number
  readonly nextLSN: number | undefined
}

/** A failure after some of the work was done. */
export class CutOffError extends Error {
  override readonly name = 'CutOffError'
  readonly count: Count

  constructor(count: Count, cause: unknown) {
    super(`cut off after ${count.done}`, { cause })
    this.count = count
  }
}

/**
 * Repeats a call until its answer has no `nextLSN`, and adds up what it did.
 *
 * @param field the number to add up, such as `redriven`.
 * @param call is given where to go on, and at first nothing; gives nothing where it is enough.
 * @throws {CutOffError} where a call after the first fails; what the first one throws goes through as it is.
 */
export async function repeat(
  field: string,
  call: (nextLSN: number | undefined) => Promise<unknown> | undefined,
): Promise<Count> {
  const answerSchema = z.object({ [field]: z.int(), nextLSN: z.int().optional() })
  let count: Count = { done: 0, nextLSN: undefined }
  for (let isFirst = true; ; isFirst = false) {
    if (!isFirst && count.nextLSN === undefined) return count
    const calling = call(count.nextLSN)
    if (calling === undefined) return count
    try {
      const answer = readAnswer(answerSchema, await calling)
      count = { done: count.done + (answer[field] ?? 0), nextLSN: answer.nextLSN }
    } catch (error) {
      throw isFirst ? error : new CutOffError(count, error)
    }
  }
}
