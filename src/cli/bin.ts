#!/usr/bin/env node
// The durable-outbox program: connects `main` to the process that it runs in.

import { enableCompileCache } from 'node:module'
import { text } from 'node:stream/consumers'

// Most of a short command's time goes into loading code, wrangler's above all. So it is imported after this.
enableCompileCache()
const [{ main }, { typedLines }] = await Promise.all([import('./main.ts'), import('./prompt.ts')])

// A reader of the output may stop early (`| head`). Then there is nothing left to do, and nothing to report.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

process.exitCode = await main(process.argv.slice(2), {
  stdout: (chunk) => process.stdout.write(chunk),
  stderr: (chunk) => process.stderr.write(chunk),
  stdin: () => text(process.stdin),
  typedLines: (typing) => typedLines({ input: process.stdin, output: process.stderr }, typing),
  interruption: () => {
    const controller = new AbortController()
    process.once('SIGINT', () => controller.abort())
    return controller.signal
  },
  cwd: process.cwd(),
  env: process.env,
  // Some terminals say that they have none.
  columns: process.stdout.columns || undefined,
})
