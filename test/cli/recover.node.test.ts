// Each fault of a file of the table: what verify says about it, and that one command heals it. Through the command and `wrangler dev`,
// as a user has them.

import { describe, expect, it } from 'vitest'
import { useLake } from './damaged-lake.ts'
import { TOKEN } from './lake-worker.ts'

describe('recover', () => {
  const { address, run, withWorker, onBucket, newest, damage, expectHealed } = useLake()

  const list = /snap-[^/]*\.avro$/
  const manifest = /-m0\.avro$/
  const metadata = /\.metadata\.json$/
  it.each([
    {
      what: 'data file',
      how: 'gone',
      folder: 'data/type=Customer.created/',
      pattern: /parquet$/,
      says: 'the bucket has no object',
    },
    {
      what: 'data file',
      how: 'corrupt',
      folder: 'data/type=Customer.created/',
      pattern: /parquet$/,
      says: 'cannot be read: ',
    },
    { what: 'manifest', how: 'gone', folder: 'metadata/', pattern: manifest, says: 'the bucket has no object' },
    {
      what: 'manifest',
      how: 'corrupt',
      folder: 'metadata/',
      pattern: manifest,
      says: ' is not ',
    },
    { what: 'manifest list', how: 'gone', folder: 'metadata/', pattern: list, says: 'the bucket has no object' },
    {
      what: 'manifest list',
      how: 'corrupt',
      folder: 'metadata/',
      pattern: list,
      says: 'is not an Avro file that can be read',
    },
    { what: 'metadata file', how: 'corrupt', folder: 'metadata/v', pattern: metadata, says: 'is not valid JSON' },
  ])('[I3] [I10] heals a $what that is $how', async ({ how, folder, pattern, says }) => {
    const key = await onBucket(async (bucket) => {
      const found = await newest(bucket, folder, pattern)
      await damage(bucket, found, how)
      return found
    })
    const verified = await run('verify')
    expect(verified.code).toBe(1)
    expect(verified.stderr).toContain(key)
    expect(verified.stderr).toContain(says)
    expect(verified.stderr).toMatch(/; durable-outbox recover tells what is wrong with the table, and heals it\n$/)
    await expectHealed(key, 4)
  })

  it('prints as JSON that a whole lake needs nothing', async () => {
    const { code, stdout } = await withWorker('recover', '--json')
    expect({ code, ...JSON.parse(stdout) }).toMatchObject({ code: 0, isDryRun: true, isDone: false, faults: [] })
  })

  it('[I8] needs the token, and to be told to change anything', async () => {
    const ask = (headers: Record<string, string>, body: string) =>
      fetch(`${address()}/lake/recover`, { method: 'POST', headers, body }).then(({ status }) => status)
    expect(await ask({}, '{"isDryRun":true}')).toBe(401)
    const authorization = `Bearer ${TOKEN}`
    expect(await ask({ authorization }, '{}')).toBe(400)
    expect(await ask({ authorization }, '{"isDryRun":true}')).toBe(200)
  })
})
