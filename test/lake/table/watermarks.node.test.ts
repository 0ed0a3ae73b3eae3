import { describe, expect, it } from 'vitest'
import { currentWatermarks } from '../../../src/lake/table/watermarks.ts'

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
