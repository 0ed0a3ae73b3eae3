import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { CommittedRecord } from '../../../src/event/record.ts'
import { chunksOf, chunksOfRuns, verbatimChunk } from '../../../src/lake/intake/chunks.ts'

/** UTF-8 bytes of a chunk, at most. */
const CHUNK_BYTES_MAX = 1_900_000

/** @param bytes of its JSON. */
function record(lsn: number, bytes: number, character = 'x'): CommittedRecord {
  const bare = {
    id: `01ARZ3NDEKTSV4RRFFQ6${String(lsn).padStart(6, '0')}`,
    type: 'T',
    timestamp: '2026-11-22T08:30:00.000Z',
    ns: 'acme',
    source: 'DO/Shop',
    epoch: '01ARZ3NDEKTSV4RRFFQ69G5FAV',
    lsn,
    txid: 'tx',
    data: { body: '' },
    _meta: { schemaVersion: 1, source: 'DO/Shop' },
  }
  const more = bytes - Buffer.byteLength(JSON.stringify(bare))
  return { ...bare, data: { body: character.repeat(more / Buffer.byteLength(character)) } }
}

const sizes = fc.array(fc.integer({ min: 400, max: 1_500_000 }), { maxLength: 6 })

describe('chunks', () => {
  it('[I7] hold all records in their order, as JSON, each as large as a row may be and not larger', () => {
    fc.assert(
      fc.property(sizes, (bytes) => {
        const records = bytes.map((size, index) => record(index + 1, size))
        const chunks = chunksOf(records)
        expect(chunks.flatMap((chunk) => chunk.records)).toEqual(records)
        for (const [index, chunk] of chunks.entries()) {
          expect(JSON.parse(chunk.json)).toEqual(chunk.records)
          expect(chunk.bytes).toBe(Buffer.byteLength(chunk.json))
          expect(chunk.bytes).toBeLessThanOrEqual(CHUNK_BYTES_MAX)
          const next = chunks[index + 1]?.records[0]
          if (next !== undefined)
            expect(chunk.bytes + 1 + Buffer.byteLength(JSON.stringify(next))).toBeGreaterThan(CHUNK_BYTES_MAX)
        }
      }),
      { numRuns: 10 },
    )
  })

  it('[I7] are full to the last byte', () => {
    const half = CHUNK_BYTES_MAX / 2 - 2
    // With two brackets and a comma.
    expect(chunksOf([record(1, half), record(2, half + 1)])).toHaveLength(1)
    expect(chunksOf([record(1, half), record(2, half + 2)])).toHaveLength(2)
  })

  it('are cut by bytes, and not by characters', () => {
    const records = [1, 2].map((lsn) => record(lsn, 1_200_000, '日'))
    expect(chunksOf(records).map((chunk) => chunk.records.length)).toEqual([1, 1])
  })

  it('[I5] name the runs that are in them, of each log', () => {
    const runs = [
      { log: 'a', records: [record(1, 900_000), record(2, 900_000), record(3, 900_000)] },
      { log: 'b', records: [record(3, 500), record(4, 500)] },
    ]
    expect(chunksOfRuns(runs).map((chunk) => chunk.runs)).toEqual([
      [{ log: 'a', first: 1, last: 2 }],
      [
        { log: 'a', first: 3, last: 3 },
        { log: 'b', first: 3, last: 4 },
      ],
    ])
  })

  it('are none for no records', () => {
    expect(chunksOf([])).toEqual([])
    expect(chunksOfRuns([])).toEqual([])
  })
})

describe('a request', () => {
  it('[I7] is a chunk as it came, if nothing was changed in it and it is not too large', () => {
    const records = [record(1, CHUNK_BYTES_MAX - 2)]
    const json = JSON.stringify(records)
    expect(verbatimChunk({ records, isVerbatim: true }, json)).toEqual({ records, bytes: CHUNK_BYTES_MAX, json })
    expect(verbatimChunk({ records, isVerbatim: true }, `${json} `)).toBeUndefined()
    expect(verbatimChunk({ records, isVerbatim: false }, json)).toBeUndefined()
  })
})
