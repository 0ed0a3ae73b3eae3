// Answers of an outbox that come in pages: what a page is, and how to read on.

import * as z from 'zod'
import { readAnswer } from '../worker.ts'

const jsonSchema = z.json()
export const itemSchema = z.record(z.string(), jsonSchema)
const pageSchema = z.object({ items: z.array(itemSchema), nextLSN: z.int().optional() })

export type Json = z.infer<typeof jsonSchema>
/** An event or a dead letter, as the server sent it. */
export type Item = z.infer<typeof itemSchema>
type Page = z.infer<typeof pageSchema>

/** Reads a page, or with `isAll` every page. `read` gets the LSN at which a page begins, and nothing for the first. */
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

/** How many were done, and where the rest begins if that was not all. */
export interface Count {
  readonly done: number
  readonly nextLSN: number | undefined
}

/** A failure after some of the work was done. */
export class InterruptedError extends Error {
  override readonly name = 'InterruptedError'
  readonly count: Count

  constructor(count: Count, cause: unknown) {
    super(`interrupted after ${count.done}`, { cause })
    this.count = count
  }
}

/**
 * Repeats a call until its answer has no `nextLSN`, and adds up what it did.
 *
 * @param field the number to add up, such as `redriven`.
 * @param call gets where to continue, and nothing at first; returns nothing when it is enough.
 * @throws {InterruptedError} if a call after the first fails. An error of the first is thrown as it is.
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
      throw isFirst ? error : new InterruptedError(count, error)
    }
  }
}
