// A lake under `wrangler dev` whose files are damaged or replaced while it is down, for the tests of `recover`. The rows of the table
// in docs/verifying.md are those tests.

import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, vi } from 'vitest'
import { Client } from '../../proofs/demo/client.ts'
import { openBucket } from '../../proofs/harness/bucket.ts'
import { type Run, runCommand } from '../../proofs/harness/command.ts'
import { Runtime } from '../../proofs/harness/runtime.ts'

export const TOKEN = 'a-token-of-the-test'
const ROOT = 'cdc/events/'

/** Before each test two customers have signed up in an ns of its own, which makes four events. */
export function useLake() {
  const directory = mkdtempSync(join(tmpdir(), 'durable-outbox-recover-'))
  const state = join(directory, 'state')
  const copies = join(directory, 'copies')
  const lakeFiles = join('v3', 'do', 'durable-outbox-LakeTable')
  const bucketFiles = join('v3', 'r2')
  let worker: Runtime
  let ns = ''
  let tests = 0

  beforeAll(async () => {
    worker = await Runtime.start({ state, vars: { ADMIN_TOKEN: TOKEN, LAKE_LIMITS: '{"rollMs":200}' } })
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

  function lose(files: string): void {
    rmSync(join(state, files), { recursive: true, force: true })
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

  return {
    address: () => worker.url,
    signUp,
    run,
    withWorker,
    onBucket,
    newest,
    damage,
    whileDown,
    copy,
    restore,
    lose,
    expectHealed,
    lakeFiles,
    bucketFiles,
  }
}
