#!/usr/bin/env node
// The durable-outbox program: connects `main` to the process that it runs in.

import { text } from 'node:stream/consumers'
import { main } from './main.ts'

// A reader of the output may stop early (`| head`). Then there is nothing left to do, and nothing to report.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

process.exitCode = await main(process.argv.slice(2), {
  stdout: (chunk) => process.stdout.write(chunk),
  stderr: (chunk) => process.stderr.write(chunk),
  stdin: () => text(process.stdin),
  cwd: process.cwd(),
  env: process.env,
  columns: process.stdout.columns,
})
