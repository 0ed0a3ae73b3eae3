// node --import: lets Node run the library as the Workers runtime does. `cloudflare:workers` is the simulated platform, the
// library's own names are its sources, as tsconfig.json says, and time and chance are simulated.

import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import * as z from 'zod'
import './globals.ts'

const root = new URL('../../../', import.meta.url)
const { compilerOptions } = z
  .object({ compilerOptions: z.object({ paths: z.record(z.string(), z.tuple([z.string()])) }) })
  .parse(JSON.parse(readFileSync(new URL('tsconfig.json', root), 'utf8')))
const sources = new Map(
  Object.entries(compilerOptions.paths).map(([name, [path]]) => [name, new URL(path, root).href]),
)
sources.set('cloudflare:workers', new URL('cloudflare-workers.ts', import.meta.url).href)

registerHooks({
  resolve(specifier, context, next) {
    const url = sources.get(specifier)
    return url === undefined ? next(specifier, context) : { url, format: 'module-typescript', shortCircuit: true }
  },
})
