// A process that runs the scripts of the seeds that it is sent, one after the other.

import * as z from 'zod'
import { runScript } from './episode.ts'
import { createScript } from './script.ts'

process.on('message', (message) => {
  const seed = z.int().parse(message)
  void runScript(createScript(seed)).then((verdict) => process.send?.(verdict))
})
