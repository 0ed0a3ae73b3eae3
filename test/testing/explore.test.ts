import { explore, ExploreError } from 'durable-outbox/testing'
import { describe, expect, it } from 'vitest'
import type { Notes } from '../worker.ts'
import { check, object, type Write, writing } from './writing.ts'

describe('explore', () => {
  it('[I1] [I3] stops an object at every point, and finds nothing wrong with one that writes and emits together', async () => {
    const { runs, points } = await explore<Notes, string>({ object, check, run: writing('write', 'a', 'b') })
    expect(points).toEqual([
      'before INSERT INTO notes (text) VALUES (?)',
      expect.stringContaining('before INSERT INTO _cdc_outbox'),
      'before setAlarm',
      'before the end of a transaction',
      'after the answer to write, which is lost',
      'before INSERT INTO notes (text) VALUES (?)',
      expect.stringContaining('before INSERT INTO _cdc_outbox'),
      'before the end of a transaction',
      'after the answer to write, which is lost',
      'before deleteAlarm',
      'before setAlarm',
      expect.stringContaining('before UPDATE _cdc_state SET batch_lsn'),
      'before the end of a transaction',
      'before the pipeline takes a batch',
      'after the pipeline took a batch',
      expect.stringContaining('before UPDATE _cdc_state SET acked_lsn'),
      'before the end of a transaction',
      'before deleteAlarm',
    ])
    expect(runs).toBe(points.length + 1)
  })

  it.each<{ method: Write; point: string }>([
    { method: 'writeApart', point: 'before INSERT INTO _cdc_outbox' },
    { method: 'writeLater', point: 'before INSERT INTO notes' },
  ])('names the point at which $method leaves one without the other', async ({ method, point }) => {
    const failure = await explore<Notes, string>({
      object,
      check,
      run: async (notes, told) => {
        await notes[method]('a')
        told.push('a')
      },
    }).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(ExploreError)
    expect((failure as ExploreError).stoppedAt).toEqual([expect.stringContaining(point)])
  })

  it('refuses to run for ever', async () => {
    await expect(explore<Notes, string>({ object, check, maxRuns: 3, run: writing('write', 'a') })).rejects.toThrow(
      'explore: more than 3 runs (maxRuns)',
    )
  })
})
