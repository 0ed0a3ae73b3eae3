// Directories that go with this process.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

// Without a listener, a signal ends this process without its 'exit' event.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(130))

/**
 * Makes an empty directory and removes it when this process ends.
 *
 * @param isKept decides at the end, from the exit code, whether the directory stays for somebody to look at.
 */
export function makeScratchDirectory(name: string, isKept: (code: number) => boolean = () => false): string {
  const directory = mkdtempSync(join(tmpdir(), `durable-outbox-${name}-`))
  process.once('exit', (code) => {
    if (!isKept(code)) rmSync(directory, { recursive: true, force: true, maxRetries: 3 })
  })
  return directory
}
