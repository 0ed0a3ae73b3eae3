// A thread that runs the scripts of the seeds that it is given, one after the other.

import { parentPort } from 'node:worker_threads'
import * as z from 'zod'
import { runScript } from './episode.ts'
import { createScript } from './script.ts'

parentPort?.on('message', (message: unknown) => {
  const seed = z.int().parse(message)
  void runScript(createScript(seed)).then((verdict) => parentPort?.postMessage({ seed, verdict }))
})
