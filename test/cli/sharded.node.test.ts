// The command over a lake with shards.

import { describe, expect, it } from 'vitest'
import { useLake } from './damaged-lake.ts'

describe('the command over a lake with shards', () => {
  const { run, withWorker, onBucket, newest, damage, whileDown, lose, expectHealed, lakeFiles } = useLake({
    LAKE_SHARDS: '2',
  })

  it('[I10] proves the table, and that nothing waits outside it', async () => {
    const verified = await withWorker('verify')
    expect(verified.stdout).toMatch(/proven: \d+ logs?, \d+ events, none missing, none twice/)
    expect(verified.code).toBe(0)
    const { stdout } = await run('query', 'SELECT count(*) AS events FROM events', '--csv')
    expect(Number(stdout.split('\r\n')[1])).toBeGreaterThanOrEqual(4)
  })

  it('[I3] heals a data file that is gone', async () => {
    const key = await onBucket(async (bucket) => {
      const found = await newest(bucket, 'data/type=Customer.created/', /parquet$/)
      await damage(bucket, found, 'gone')
      return found
    })
    expect(key).toContain('/shard-1-')
    await expectHealed(key, 4)
  })

  it('[I3] heals the database of the object that commits, if it is lost', async () => {
    await whileDown(() => lose(lakeFiles))
    await expectHealed('the lake knows nothing of the table', 4)
    expect((await withWorker('verify')).code).toBe(0)
  })
})
