// A bucket or a database that is from an older copy, or lost: what verify says about it, and that one command heals it.

import { describe, expect, it } from 'vitest'
import { useLake } from './damaged-lake.ts'

describe('recover after a restore', () => {
  const { signUp, run, withWorker, whileDown, copy, restore, lose, expectHealed, lakeFiles, bucketFiles } = useLake()

  it.each([
    {
      title: '[I3] [I10] heals a bucket that is older than the lake',
      files: bucketFiles,
      says: 'FAILURE: lake: it has committed version',
      report: 'the bucket is from an older copy, or has lost its newest metadata',
    },
    {
      title: '[I5] [I10] heals a lake whose database is older than the bucket',
      files: lakeFiles,
      says: 'FAILURE: lake: its own database is at version',
      report: 'the database is from an older copy',
    },
  ])('$title', async ({ files, says, report }) => {
    await whileDown(() => copy(files))
    await signUp('Zoë')
    await whileDown(() => restore(files))
    expect(await run('verify')).toMatchObject({ code: 0 })
    const verified = await withWorker('verify', '--wait', '0')
    expect(verified).toMatchObject({ code: 1, stdout: expect.stringContaining(says) })
    expect(verified.stdout).toContain('see durable-outbox recover')
    await expectHealed(report, 6)
  })

  it('[I5] [I10] heals a lake that has lost its database', async () => {
    await whileDown(() => lose(lakeFiles))
    const verified = await withWorker('verify', '--wait', '0')
    expect(verified).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('FAILURE: lake: its own database is at version 0'),
    })
    await expectHealed('its own database is new or lost', 4)
  })

  it('[I10] is not needed if the bucket and all databases are restored together', async () => {
    await whileDown(() => copy('v3'))
    await signUp('Zoë')
    await whileDown(() => restore('v3'))
    expect(await withWorker('verify')).toMatchObject({ code: 0 })
    expect(await withWorker('recover')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('nothing to recover'),
    })
  })
})
