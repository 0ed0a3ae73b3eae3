// A lake under `wrangler dev` whose files are damaged or replaced while it is down, for the tests of `recover`. The rows of the table
// in docs/verifying.md are those tests.

import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect, vi } from 'vitest'
import { Client } from '../../proofs/demo/client.ts'
import { useLakeWorker } from './lake-worker.ts'

const ROOT = 'cdc/events/'

/** Before each test two customers have signed up in an ns of its own, which makes four events. */
export function useLake(vars: Readonly<Record<string, string>> = {}) {
  const lake = useLakeWorker(vars)
  const { directory, state, runtime, run, withWorker } = lake
  const copies = join(directory, 'copies')
  const lakeFiles = join('v3', 'do', 'durable-outbox-LakeTable')
  const bucketFiles = join('v3', 'r2')
  let ns = ''
  let tests = 0

  beforeEach(async () => {
    ns = `shop-${(tests += 1)}`
    await signUp('Alice', 'Bob')
  })

  /** Each makes two events. They have landed when this resolves. */
  async function signUp(...names: string[]): Promise<void> {
    const client = new Client(lake.address())
    const before = (await client.lakeStatus()).landedEvents
    for (const name of names) await client.signUp(ns, name, `${name}@example.com`)
    const landed = async () =>
      expect((await client.lakeStatus()).landedEvents).toBeGreaterThanOrEqual(before + 2 * names.length)
    await vi.waitFor(landed, { timeout: 30_000, interval: 50 })
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
    await runtime().kill()
    change()
    await runtime().start()
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
    ...lake,
    signUp,
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
