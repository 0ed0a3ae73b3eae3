import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import * as z from 'zod'
import { afterAll, expect, it } from 'vitest'

const root = join(import.meta.dirname, '../..')
const scratch = mkdtempSync(join(tmpdir(), 'durable-outbox-simulate-test-'))
const verdictSchema = z.object({ steps: z.number(), rows: z.number(), trace: z.number(), virtualMs: z.number() })

afterAll(() => rmSync(scratch, { recursive: true }))

async function simulate(...args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)('npm', ['run', '--silent', 'simulate', '--', ...args, '--json'], {
    cwd: root,
    maxBuffer: 100_000_000,
  })
  return stdout
}

it('does the same again from the same seed, to the last step', async () => {
  const [first, second] = await Promise.all([
    simulate('--seed', '12', '--replay'),
    simulate('--seed', '12', '--replay'),
  ])
  expect(second).toBe(first)
  expect(verdictSchema.parse(JSON.parse(first)).rows).toBeGreaterThan(0)
})

it('runs a script from a file', async () => {
  const work = { kind: 'sync', does: [{ n: 1, by: 'emit' }], fails: false }
  const steps = [
    { atMs: 1, do: 'write', who: 'ledger-1', work },
    { atMs: 80, do: 'crash all' },
  ]
  const file = join(scratch, 'script.json')
  writeFileSync(file, JSON.stringify({ seed: 1, objects: ['ledger-1'], steps }))
  expect(verdictSchema.parse(JSON.parse(await simulate('--script', file))).rows).toBe(1)
})
