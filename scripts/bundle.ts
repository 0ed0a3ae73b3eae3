// Builds the Worker as it is deployed and holds its size against a budget: what is in the bundle is loaded at each start
// of an isolate. `--json` prints the sizes for programs.

import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { gzipSync } from 'node:zlib'

/** A bundle may grow into these, with an argument for what it gets in return; Cloudflare's own limits are far off. */
const RAW_KIB_MAX = 950
const GZIP_KIB_MAX = 230

const root = join(import.meta.dirname, '..')
const wrangler = join(root, 'node_modules/wrangler/bin/wrangler.js')

interface Size {
  readonly name: string
  readonly kib: number
  readonly kibMax: number
}

/** What is uploaded: of the files that wrangler leaves, those that are no map and no explanation. */
async function readBundle(folder: string): Promise<Buffer> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile() && !/\.map$|^README\.md$/.test(entry.name))
  return Buffer.concat(await Promise.all(files.map(({ parentPath, name }) => readFile(join(parentPath, name)))))
}

async function measure(): Promise<Size[]> {
  const folder = await mkdtemp(join(tmpdir(), 'durable-outbox-bundle-'))
  try {
    const args = ['deploy', '--dry-run', '--env', 'production', '--outdir', folder]
    await promisify(execFile)(process.execPath, [wrangler, ...args], { cwd: root })
    const bundle = await readBundle(folder)
    return [
      { name: 'raw', kib: kib(bundle), kibMax: RAW_KIB_MAX },
      { name: 'gzip', kib: kib(gzipSync(bundle)), kibMax: GZIP_KIB_MAX },
    ]
  } finally {
    await rm(folder, { recursive: true })
  }
}

function kib(bytes: Uint8Array): number {
  return Math.round((bytes.byteLength / 1024) * 10) / 10
}

const { values } = parseArgs({ options: { json: { type: 'boolean' } } })
const sizes = await measure()
const tooLarge = sizes.filter(({ kib, kibMax }) => kib > kibMax)
if (values.json) console.log(JSON.stringify(sizes, null, 2))
else for (const { name, kib, kibMax } of sizes) console.log(`${name.padEnd(4)}  ${kib} KiB of ${kibMax} KiB`)
if (tooLarge.length > 0) {
  console.error(
    `the bundle is over its budget (${tooLarge.map(({ name }) => name).join(', ')}): see which module is large with\n` +
      'npx wrangler deploy --dry-run --env production --outdir bundle --metafile\n' +
      '(esbuild.github.io/analyze shows the file), and import less, or raise the budget in scripts/bundle.ts and say why',
  )
  process.exitCode = 1
}
