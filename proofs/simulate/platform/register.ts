// node --import: lets Node run the library as the Workers runtime does. `cloudflare:workers` is the simulated platform, the
// library's own names are its sources, as tsconfig.json says, and time and chance are simulated.

import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import * as z from 'zod'
import './globals.ts'

const root = join(import.meta.dirname, '../../..')
const { compilerOptions } = z
  .object({ compilerOptions: z.object({ paths: z.record(z.string(), z.tuple([z.string()])) }) })
  .parse(JSON.parse(readFileSync(join(root, 'tsconfig.json'), 'utf8')))
const sources = new Map(
  Object.entries(compilerOptions.paths).map(([name, [path]]) => [name, pathToFileURL(join(root, path)).href]),
)
sources.set('cloudflare:workers', pathToFileURL(join(import.meta.dirname, 'cloudflare-workers.ts')).href)

registerHooks({
  resolve(specifier, context, next) {
    const url = sources.get(specifier)
    return url === undefined ? next(specifier, context) : { url, format: 'module-typescript', shortCircuit: true }
  },
})
