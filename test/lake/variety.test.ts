// Events of all kinds and times at once.

import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { commit, record, rowsOf, table } from './table.ts'

const TYPES = [
  'a/b',
  '../../etc',
  'type=x',
  'a b%20c',
  "it's",
  'ünïcode 😀',
  '日本',
  '.',
  'x'.repeat(1_000),
  '😀'.repeat(500),
  'NULL',
  'null',
  '\u2028',
  'a\\b',
  'a?b#c',
]

const TIMES = [
  '0000-01-01T00:00:00Z',
  '0001-01-01T00:00:00Z',
  '1969-12-31T23:59:59.999999Z',
  '1970-01-01T00:00:00Z',
  '2025-11-22T08:30:00Z',
  '2026-11-22T23:59:59.999999Z',
  '2038-01-19T03:14:08Z',
  '9999-12-31T23:59:59.999999Z',
]

async function keys(): Promise<string[]> {
  const { objects } = await env.LAKE_BUCKET.list({ prefix: 'cdc/events/data/' })
  return objects.map(({ key }) => key)
}

describe('the lake', () => {
  it('lands events whose types make strange folders, each type in a partition of its own', async () => {
    await env.LAKE.send(TYPES.map((type, index) => record('types', index + 1, { type })))
    await commit()
    const rows = await rowsOf('acme/types')
    expect(rows.map((row) => row['type'])).toEqual(TYPES)
    const paths = (await keys()).map((key) => key.split('/'))
    // No name has made another level of folders, or has left the table's folder.
    expect(new Set(paths.map((path) => path.length))).toEqual(new Set([6]))
    for (const key of await keys()) expect(new TextEncoder().encode(key).byteLength).toBeLessThanOrEqual(1_024)
  })

  it('lands events of any time, to the microsecond', async () => {
    await env.LAKE.send(TIMES.map((timestamp, index) => record('times', index + 1, { timestamp })))
    await commit()
    // As they are stored: a Date has no microseconds.
    const rows = await rowsOf('acme/times', { timestampFromMicroseconds: (micros: bigint) => micros })
    expect(rows.map((row) => row['timestamp'])).toEqual([
      -62_167_219_200_000_000n,
      -62_135_596_800_000_000n,
      -1n,
      0n,
      1_763_800_200_000_000n,
      1_795_391_999_999_999n,
      2_147_483_648_000_000n,
      253_402_300_799_999_999n,
    ])
    const days = (await keys()).map((key) => /dt=([^/]+)/.exec(key)?.[1])
    for (const time of ['0000-01-01', '1969-12-31', '1970-01-01', '2038-01-19']) expect(days).toContain(time)
  })

  it('lands a batch with hundreds of types, which would be too many partitions', async () => {
    const { files } = await table.status()
    const many = Array.from({ length: 300 }, (_, n) => record('many-types', n + 1, { type: `type-${n}` }))
    await env.LAKE.send(many)
    await commit()
    expect((await table.status()).files).toBe(files + 1)
    expect((await rowsOf('acme/many-types')).map((row) => row['type'])).toEqual(many.map(({ type }) => type))
  })
})
