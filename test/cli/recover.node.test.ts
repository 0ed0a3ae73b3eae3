// Each fault of the bucket or of the lake's database: what verify says about it, and that one command heals it. Through the
// command and `wrangler dev`, as a user has them. The rows are those of the table in docs/verifying.md.

import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { Client } from '../../proofs/demo/client.ts'
import { openBucket } from '../../proofs/harness/bucket.ts'
import { type Run, runCommand } from '../../proofs/harness/command.ts'
import { Runtime } from '../../proofs/harness/runtime.ts'

const TOKEN = 'a-token-of-the-test'
const ROOT = 'cdc/events/'

describe('recover', () => {
  const directory = mkdtempSync(join(tmpdir(), 'durable-outbox-recover-'))
  const state = join(directory, 'state')
  const copies = join(directory, 'copies')
  const lakeFiles = join('v3', 'do', 'durable-outbox-LakeTable')
  const bucketFiles = join('v3', 'r2')
  let worker: Runtime
  let ns = ''
  let tests = 0

  beforeAll(async () => {
    worker = await Runtime.start({ state, vars: { ADMIN_TOKEN: TOKEN } })
  })

  afterAll(async () => {
    await worker.kill()
    rmSync(directory, { recursive: true, force: true })
  })

  beforeEach(async () => {
    ns = `shop-${(tests += 1)}`
    await signUp('Alice', 'Bob')
  })

  /** Each makes two events. They have landed when this resolves. */
  async function signUp(...names: string[]): Promise<void> {
    const client = new Client(worker.url)
    const before = (await client.lakeStatus()).landedEvents
    for (const name of names) await client.signUp(ns, name, `${name}@example.com`)
    const landed = async () =>
      expect((await client.lakeStatus()).landedEvents).toBeGreaterThanOrEqual(before + 2 * names.length)
    await vi.waitFor(landed, { timeout: 30_000, interval: 50 })
  }

  function run(command: string, ...args: string[]): Promise<Run> {
    return runCommand([command, '--state', state, ...args], { env: { ADMIN_TOKEN: TOKEN } })
  }

  function withWorker(command: string, ...args: string[]): Promise<Run> {
    return run(command, '--url', worker.url, '--wait', '20', ...args)
  }

  async function onBucket<T>(work: (bucket: R2Bucket) => Promise<T>): Promise<T> {
    const { bucket, close } = await openBucket(state)
    try {
      return await work(bucket)
    } finally {
      await close()
    }
  }

  /** The newest file below a folder. */
  async function newest(bucket: R2Bucket, folder: string, pattern: RegExp): Promise<string> {
    const { objects } = await bucket.list({ prefix: ROOT + folder })
    const found = objects.filter(({ key }) => pattern.test(key))
    const [last] = found.toSorted((a, b) => b.uploaded.getTime() - a.uploaded.getTime())
    return last?.key ?? ''
  }

  async function damage(bucket: R2Bucket, key: string, how: string): Promise<void> {
    if (how === 'gone') return bucket.delete(key)
    const bytes = new Uint8Array((await (await bucket.get(key))?.arrayBuffer()) ?? new ArrayBuffer(0))
    const third = Math.floor(bytes.length / 3)
    await bucket.put(
      key,
      bytes.map((byte, index) => (index >= third && index < 2 * third ? byte ^ 0xff : byte)),
    )
  }

  /** Runs a change of the files on disk while the Worker is down. */
  async function whileDown(change: () => void): Promise<void> {
    await worker.kill()
    change()
    await worker.start()
  }

  function copy(files: string): void {
    rmSync(join(copies, files), { recursive: true, force: true })
    cpSync(join(state, files), join(copies, files), { recursive: true })
  }

  function restore(files: string): void {
    rmSync(join(state, files), { recursive: true, force: true })
    cpSync(join(copies, files), join(state, files), { recursive: true })
  }

  /** What holds for every fault: the dry run changes nothing, --yes heals, and each event is there once. */
  async function expectHealed(report: string, events: number): Promise<void> {
    const planned = await withWorker('recover')
    expect(planned).toMatchObject({ code: 1, stdout: expect.stringContaining('nothing was changed; --yes does it') })
    expect(planned.stdout).toContain(report)
    const healed = await withWorker('recover', '--yes')
    expect(healed.stdout + healed.stderr).toMatch(/rebuilt, as version[^]*\nproven: [^]*none missing, none twice/)
    expect(healed.code).toBe(0)
    const { stdout } = await run('query', `SELECT lsn FROM events WHERE ns = '${ns}' ORDER BY lsn`, '--csv')
    expect(stdout).toBe(['lsn', ...Array.from({ length: events }, (_, index) => index + 1), ''].join('\r\n'))
  }

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

  it('[I3] [I10] heals a bucket that is older than the lake', async () => {
    await whileDown(() => copy(bucketFiles))
    await signUp('Zoë')
    await whileDown(() => restore(bucketFiles))
    expect(await run('verify')).toMatchObject({ code: 0 })
    const verified = await withWorker('verify', '--wait', '0')
    expect(verified).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('FAILURE: lake: it has committed version'),
    })
    expect(verified.stdout).toContain('see durable-outbox recover')
    await expectHealed('the bucket is from an older copy, or has lost its newest metadata', 6)
  })

  it('[I5] [I10] heals a lake whose database is older than the bucket', async () => {
    await whileDown(() => copy(lakeFiles))
    await signUp('Zoë')
    await whileDown(() => restore(lakeFiles))
    expect(await run('verify')).toMatchObject({ code: 0 })
    const verified = await withWorker('verify', '--wait', '0')
    expect(verified).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('FAILURE: lake: its own database is at version'),
    })
    expect(verified.stdout).toContain('see durable-outbox recover')
    await expectHealed('the database is from an older copy', 6)
  })

  it('[I5] [I10] heals a lake that has lost its database', async () => {
    await whileDown(() => rmSync(join(state, lakeFiles), { recursive: true, force: true }))
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

  it('prints as JSON that a whole lake needs nothing', async () => {
    const { code, stdout } = await withWorker('recover', '--json')
    expect({ code, ...JSON.parse(stdout) }).toMatchObject({ code: 0, isDryRun: true, isDone: false, faults: [] })
  })

  it('[I8] needs the token, and to be told to change anything', async () => {
    const ask = (headers: Record<string, string>, body: string) =>
      fetch(`${worker.url}/lake/recover`, { method: 'POST', headers, body }).then(({ status }) => status)
    expect(await ask({}, '{"isDryRun":true}')).toBe(401)
    const authorization = `Bearer ${TOKEN}`
    expect(await ask({ authorization }, '{}')).toBe(400)
    expect(await ask({ authorization }, '{"isDryRun":true}')).toBe(200)
  })
})
