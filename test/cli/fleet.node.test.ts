// The command against the real Worker, whose classes are found by their names.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type Run, runCommand } from '../../proofs/harness/command.ts'
import { Runtime } from '../../proofs/harness/runtime.ts'

const state = mkdtempSync(join(tmpdir(), 'durable-outbox-fleet-'))
const env = { ADMIN_TOKEN: 's3cret' }
const EVIL = 'acme\u001b[31m'
let worker: Runtime

function fleet(...args: string[]): Promise<Run> {
  return runCommand(['fleet', ...args, '--url', worker.url], { env })
}

async function lines(...args: string[]): Promise<Record<string, unknown>[]> {
  const { stdout } = await fleet(...args, '--json')
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

beforeAll(async () => {
  worker = await Runtime.start({ state, vars: { ...env, METRICS_TOKEN: 'metrics' } })
  for (const object of ['acme', 'globex', EVIL]) {
    const body = JSON.stringify({ name: 'Alice', email: 'alice@example.com' })
    await fetch(`${worker.url}/customers/${encodeURIComponent(object)}`, { method: 'POST', body })
  }
  // An object makes itself known with its first alarm.
  await vi.waitUntil(async () => (await lines('--known')).length === 3, { timeout: 20_000 })
})

afterAll(async () => {
  await worker.kill()
  rmSync(state, { recursive: true, force: true })
})

describe('durable-outbox fleet', () => {
  it('lists each object with its stats, and nothing that drives a terminal', async () => {
    const { code, stdout } = await fleet()
    expect(code).toBe(0)
    expect(stdout).toMatch(/│ Customers │ acme +│ acme +│ \d+ m?s +│ 0 +│ 2 +│ 2 +│ 0 +│ ok +│/)
    expect(stdout).toContain('acme\\u001b[31m')
    expect(stdout).not.toContain('\u001b')
    expect(stdout).toContain('3 rows')
  })

  it('has each do something, only those that are chosen, and none with --dry-run', async () => {
    expect(await fleet('pause', '--ns', 'acme', '--dry-run')).toMatchObject({ code: 0 })
    expect(await lines('--ns', 'acme')).toMatchObject([
      { className: 'Customers', name: 'acme', stats: { isPaused: false } },
    ])
    expect(await fleet('pause', '--ns', 'acme')).toMatchObject({ code: 0, stdout: 'pause: 1 object\n' })
    expect(await lines('--ns', 'acme')).toMatchObject([{ stats: { isPaused: true } }])
    expect(await lines('--ns', 'globex')).toMatchObject([{ stats: { isPaused: false } }])
    expect(await fleet('resume', '--class', 'Customers')).toMatchObject({ code: 0, stdout: 'resume: 3 objects\n' })
    expect((await fleet('snapshot', 'document/Customer', '--ns', 'globex')).stdout).toBe('snapshot: 1 object\n')
  })

  it('reports each object at which it failed', async () => {
    const run = await fleet('replay', '--from-lsn', '100', '--to-lsn', '101', '--ns', 'acme')
    expect(run.code).toBe(1)
    expect(run.stdout).toMatch(/^Customers\/acme: replay: LSN 100 was not delivered .*\nreplay: 0 objects, 1 failed\n$/)
  })

  it('takes a time with its unit', async () => {
    expect(await lines('--lagging', '1d')).toEqual([])
    expect(await fleet('--lagging', '60')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('such as 500ms, 60s'),
    })
    expect(await fleet('explode')).toMatchObject({ code: 2, stderr: expect.stringContaining('there is no explode') })
  })

  it('is measured at /metrics, with its own token', async () => {
    const scrape = await fetch(`${worker.url}/metrics`, { headers: { authorization: 'Bearer metrics' } })
    const text = await scrape.text()
    expect(text).toContain('\noutbox_objects{class="Customers"} 3\n')
    expect(text).toMatch(/\nlake_lag_seconds [\d.]+\n/)
    expect((await fetch(`${worker.url}/metrics`)).status).toBe(401)
  })
})
