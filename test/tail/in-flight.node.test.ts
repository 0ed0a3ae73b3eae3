import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  afterAcknowledgement,
  afterSending,
  hasRoom,
  IN_FLIGHT_MAX,
  isWorthAsking,
  limitsOf,
  type Mark,
  pageOf,
  TOTAL_BYTES_MAX,
} from '../../src/tail/in-flight.ts'

const epoch = '01ARZ3NDEKTSV4RRFFQ69G5FAV'
const clients = fc.integer({ min: 1, max: 5_000 })
/** Pages of any size, as shares of the largest. */
const pages = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 200 })

/** Sends pages while there is room. */
function fill(count: number, shares: readonly number[]): { marks: Mark[]; lsn: number } {
  const page = pageOf(limitsOf(count))
  let marks: Mark[] = []
  let lsn = 0
  for (const share of shares) {
    if (!hasRoom(marks, limitsOf(count))) break
    const events = Math.max(1, Math.floor(share * page.events))
    lsn += events
    marks = afterSending(marks, { cursor: { epoch, lsn }, events, bytes: share * page.bytes })
  }
  return { marks, lsn }
}

describe('what is in flight to a client', () => {
  it('[I7] is within its limits, and all of them together within theirs', () => {
    fc.assert(
      fc.property(clients, pages, (count, shares) => {
        const { marks } = fill(count, shares)
        const bytes = marks.reduce((sum, mark) => sum + mark.bytes, 0)
        expect(marks.reduce((sum, { events }) => sum + events, 0)).toBeLessThanOrEqual(IN_FLIGHT_MAX.events)
        expect(bytes * count).toBeLessThanOrEqual(TOTAL_BYTES_MAX * (1 + 1e-9))
        expect(marks.length).toBeLessThanOrEqual(8)
      }),
    )
  })

  it('is asked for before there is no more room, however many clients there are', () => {
    fc.assert(
      fc.property(clients, pages, (count, shares) => {
        const { marks } = fill(count, shares)
        expect(hasRoom(marks, limitsOf(count)) || isWorthAsking(marks, limitsOf(count))).toBe(true)
      }),
    )
  })

  it('is nothing once all of it is acknowledged, and never less than what is not', () => {
    fc.assert(
      fc.property(clients, pages, fc.nat(), (count, shares, acknowledged) => {
        const { marks, lsn } = fill(count, shares)
        const left = afterAcknowledgement(marks, { epoch, lsn: acknowledged })
        expect(left.reduce((sum, { events }) => sum + events, 0)).toBeGreaterThanOrEqual(
          Math.max(0, lsn - acknowledged),
        )
        expect(afterAcknowledgement(marks, { epoch, lsn })).toEqual([])
      }),
    )
  })
})
