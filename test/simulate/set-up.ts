// Runs the scripts on the simulator's platform, in a process of its own, before the test runs them in workerd.

import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'

declare module 'vitest' {
  interface ProvidedContext {
    /** By script: the log that it left on the simulator's platform. */
    simulatedLogs: string[][]
  }
}

const SCRIPTS = 200

export function setup(project: TestProject): void {
  const root = join(import.meta.dirname, '../..')
  const output = execFileSync(
    'node',
    [
      '--js-base-64',
      '--import',
      join(root, 'proofs/simulate/platform/register.ts'),
      join(import.meta.dirname, 'simulated-log.ts'),
      String(SCRIPTS),
    ],
    { cwd: root, encoding: 'utf8', maxBuffer: 100_000_000 },
  )
  project.provide('simulatedLogs', JSON.parse(output))
}
