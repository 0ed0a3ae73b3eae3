// What bounds a call that handles many documents: all that it holds at once, and what fits into one statement.

import type { CDCError } from '../../error.ts'
import { PARAMETER_CHARACTERS_MAX } from './limits.ts'

/** Counts the texts that a call holds in memory. */
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

/** Cuts a list into lists that fit into one parameter each: one list, unless it is a long one. */
export function* chunks<Item>(items: readonly Item[], charactersOf: (item: Item) => number): Generator<Item[]> {
  let chunk: Item[] = []
  let characters = 0
  for (const item of items) {
    characters += charactersOf(item)
    if (chunk.length > 0 && characters > PARAMETER_CHARACTERS_MAX) {
      yield chunk
      chunk = []
      characters = charactersOf(item)
    }
    chunk.push(item)
  }
  if (chunk.length > 0) yield chunk
}
