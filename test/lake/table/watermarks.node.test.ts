import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { NewFile } from '../../../src/lake/iceberg/commit.ts'
import {
  carryWatermarks,
  currentWatermarks,
  ownSnapshotOf,
  type SummarizedSnapshot,
  summarizeWatermarks,
  type Watermark,
  type Watermarks,
} from '../../../src/lake/table/watermarks.ts'

const file = { 'cdc.watermarks-file': 's3://lake/cdc/events/metadata/w.json', 'cdc.watermarks-sequence': '2' }

function saying(sequence: number, watermarks: object, more: Record<string, string> = {}) {
  return { sequence, summary: { 'cdc.watermarks': JSON.stringify(watermarks), ...more } }
}

describe('currentWatermarks', () => {
  it('takes the file, and the newest of the snapshots since for each log', async () => {
    const snapshots = [
      saying(1, { a: { e: 1 } }),
      saying(2, { a: { e: 2 } }, file),
      saying(3, { a: { e: 9 }, b: { e: 3 } }, file),
      saying(4, { a: { e: 4, f: 1 } }, file),
    ]
    const read: string[] = []
    const watermarks = await currentWatermarks(snapshots, async (location) => {
      read.push(location)
      return { a: { e: 2 }, c: { e: 7 } }
    })
    expect(watermarks).toEqual({ a: { e: 4, f: 1 }, b: { e: 3 }, c: { e: 7 } })
    expect(read).toEqual(['s3://lake/cdc/events/metadata/w.json'])
  })

  it('reads only the snapshots if there is no file yet', async () => {
    const none = () => Promise.reject(new Error('there is none'))
    expect(await currentWatermarks([saying(1, { a: { e: 1 } }), saying(2, {})], none)).toEqual({ a: { e: 1 } })
    expect(await currentWatermarks([], none)).toEqual({})
    expect(await currentWatermarks([{ sequence: 0, summary: {} }], none)).toEqual({})
  })

  it('refuses anything but a map of watermarks', async () => {
    await expect(currentWatermarks([saying(1, { a: 1 })], async () => ({}))).rejects.toThrow('expected an object')
    await expect(currentWatermarks([saying(2, {}, file)], async () => [])).rejects.toThrow('expected an object')
  })
})

const LOCATION = 's3://lake/cdc/events'
/** Logs that a summary, or the properties, may name. */
const LOGS_MAX = 200
const MAX_COMMITS = 4

function logs(count: number, lsn = 1): Watermark[] {
  return Array.from({ length: count }, (_, index) => ({ source: `acme/${index}`, epoch: 'e', lsn }))
}

function mapOf(all: Iterable<Watermark>): Watermarks {
  const map: Watermarks = {}
  for (const { source, epoch, lsn } of all) map[source] = { ...map[source], [epoch]: lsn }
  return map
}

/** A lake that commits, and what a reader finds in its table. */
class Reported {
  readonly #all = new Map<string, Watermark>()
  readonly #files = new Map<string, unknown>()
  readonly snapshots: SummarizedSnapshot[] = []
  properties: Readonly<Record<string, string>> = {}
  filesWritten = 0
  #sequence = 0
  #file: { key: string; sequence: number } | undefined

  /** A commit into the lake's own catalog, which forgets all but so many snapshots. */
  summarize(moved: readonly Watermark[], snapshotsKept = 2 * MAX_COMMITS): void {
    const { summary, file } = summarizeWatermarks({
      ...this.#facts(moved),
      key: this.#file?.key,
      fileSequence: this.#file?.sequence ?? 0,
      maxCommits: MAX_COMMITS,
    })
    this.#store(file)
    this.snapshots.push({ sequence: this.#sequence, summary })
    this.snapshots.splice(0, this.snapshots.length - snapshotsKept)
    this.#land(moved)
  }

  /** A commit into a catalog that others commit to. */
  carry(moved: readonly Watermark[]): void {
    const facts = { ...this.#facts(moved), snapshotId: 70 + this.#sequence, properties: this.properties }
    const { properties, file } = carryWatermarks(facts)
    this.#store(file)
    this.properties = { ...this.properties, ...properties }
    this.#land(moved)
  }

  get truth(): Watermarks {
    return mapOf(this.#all.values())
  }

  read(): Promise<Watermarks> {
    return currentWatermarks(this.snapshots, async (location) => this.#files.get(location), this.properties)
  }

  #facts(moved: readonly Watermark[]) {
    this.#sequence += 1
    return {
      moved,
      all: () => this.#all.values(),
      location: LOCATION,
      sequence: this.#sequence,
      uuid: () => 'some-uuid',
    }
  }

  #store(file: NewFile | undefined): void {
    if (file === undefined) return
    this.filesWritten += 1
    this.#file = { key: file.key, sequence: this.#sequence }
    this.#files.set(`${LOCATION}/${file.key}`, JSON.parse(new TextDecoder().decode(file.bytes)))
  }

  #land(moved: readonly Watermark[]): void {
    for (const one of moved) this.#all.set(JSON.stringify([one.source, one.epoch]), one)
  }
}

describe.each(['summarize', 'carry'] as const)('the watermarks that a lake reports: %s', (how) => {
  it('[I10] are what a reader finds in the table alone, after each commit', async () => {
    const moves = fc.array(
      fc.record({
        source: fc.constantFrom('acme/a', 'acme/b', 'acme/c'),
        epoch: fc.constantFrom('e', 'f'),
        lsn: fc.integer({ min: 0, max: 99 }),
      }),
      { maxLength: 3 },
    )
    const commits = fc.array(
      fc.oneof({ weight: 9, arbitrary: moves }, { weight: 1, arbitrary: fc.constant(logs(LOGS_MAX + 1)) }),
      { maxLength: 20 },
    )
    await fc.assert(
      fc.asyncProperty(commits, async (all) => {
        const lake = new Reported()
        for (const moved of all) {
          lake[how](moved)
          expect(await lake.read()).toEqual(lake.truth)
        }
      }),
    )
  })

  it('[I7] are in a file if a report would name more than 200 logs, and only then', async () => {
    const lake = new Reported()
    lake[how](logs(LOGS_MAX))
    expect(lake.filesWritten).toBe(0)
    lake[how](logs(LOGS_MAX + 1, 2))
    expect(lake.filesWritten).toBe(1)
    expect(await lake.read()).toEqual(lake.truth)
    lake[how](logs(1, 3))
    expect(lake.filesWritten).toBe(1)
    expect(await lake.read()).toEqual(lake.truth)
  })
})

describe('a summary', () => {
  it('names no file before one is due, and writes one every so many commits', () => {
    const lake = new Reported()
    for (let commit = 1; commit < MAX_COMMITS; commit += 1) lake.summarize(logs(1, commit))
    expect(lake.snapshots.at(-1)?.summary).toEqual({ 'cdc.watermarks': '{"acme/0":{"e":3}}' })
    for (let commit = 0; commit < 2 * MAX_COMMITS; commit += 1) lake.summarize(logs(1, commit))
    expect(lake.filesWritten).toBe(2)
    expect(lake.snapshots.at(-1)?.summary).toEqual({
      'cdc.watermarks': '{"acme/0":{"e":7}}',
      'cdc.watermarks-file': `${LOCATION}/metadata/watermarks-8-some-uuid.json`,
      'cdc.watermarks-sequence': '8',
    })
  })
})

describe('a carried report', () => {
  it('says which snapshot is the last of this lake', () => {
    const lake = new Reported()
    expect(ownSnapshotOf(lake)).toBeUndefined()
    lake.carry([])
    expect(ownSnapshotOf(lake)).toBe('71')
    lake.carry(logs(LOGS_MAX + 1))
    expect(ownSnapshotOf(lake)).toBe('72')
    expect(lake.properties).toEqual({
      'cdc.snapshot-id': '72',
      'cdc.watermarks': '{}',
      'cdc.watermarks-file': `${LOCATION}/metadata/watermarks-2-some-uuid.json`,
      'cdc.watermarks-sequence': '2',
    })
  })

  it('stands alone: a reader takes no summary beside it', async () => {
    const all = await currentWatermarks([saying(9, { a: { e: 9 } }, file)], () => Promise.reject(new Error('no')), {
      'cdc.watermarks': '{"b":{"e":2}}',
    })
    expect(all).toEqual({ b: { e: 2 } })
  })

  it('is refused if it is not one', () => {
    const facts = { moved: [], all: () => [], location: LOCATION, sequence: 1, uuid: () => 'u', snapshotId: 1 }
    expect(() => carryWatermarks({ ...facts, properties: { 'cdc.watermarks': '[]' } })).toThrow(
      expect.objectContaining({ code: 'invalid-config', message: expect.stringMatching(/^lake: watermarks: /) }),
    )
  })
})
