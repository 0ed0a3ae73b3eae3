// How much text one call holds in memory at once.

import type { CDCError } from '../../error.ts'
import { invalid } from '../checks.ts'
import { limits } from './limits.ts'

/** Counts texts, and throws once they are too long together. */
export class Budget {
  readonly #exceeded: () => CDCError
  #charactersLeft: number

  constructor(maxCharacters: number, exceeded: () => CDCError) {
    this.#charactersLeft = maxCharacters
    this.#exceeded = exceeded
  }

  take(text: string): void {
    this.#charactersLeft -= text.length
    if (this.#charactersLeft < 0) throw this.#exceeded()
  }
}

/** For all documents of a batch, before and after. */
export function batchBudget(caller: string): Budget {
  const { batchCharacters } = limits
  return new Budget(batchCharacters, () =>
    invalid(
      caller,
      `the documents hold more than ${batchCharacters} characters of JSON together; take fewer at a time`,
    ),
  )
}

/** For all documents of a page. */
export function pageBudget(caller: string): Budget {
  const { pageCharacters } = limits
  return new Budget(pageCharacters, () =>
    invalid(caller, `the page holds more than ${pageCharacters} characters of JSON; choose a lower limit`),
  )
}
