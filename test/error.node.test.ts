import { describe, expect, it } from 'vitest'
import { CDCError, messageOf } from '../src/error.ts'

describe('messageOf', () => {
  it.each([
    { thrown: new CDCError('not-found', 'a message'), message: 'a message' },
    { thrown: 'a text', message: 'a text' },
    { thrown: undefined, message: 'undefined' },
    { thrown: Object.create(null), message: 'a thrown object without a text' },
  ])('reads "$message"', ({ thrown, message }) => {
    expect(messageOf(thrown)).toBe(message)
  })
})
