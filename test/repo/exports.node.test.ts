// The public surface: the names that each entry of the package exports. exports.md lists them for a reader; a change of the
// list is a change of the API. `npx vitest run --project node -u test/repo` writes it anew.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import packageJSON from '../../package.json' with { type: 'json' }

/** More than this, and a reader no longer sees what the library is about. */
const ROOT_NAMES_MAX = 60

const root = join(import.meta.dirname, '../..')
const COMMENT = /\/\*[^]*?\*\/|^\s*\/\/.*$/gm
/** `export { A, type B } from './b.ts'` and `export type { C } from './c.ts'` */
const LIST = /^export (type )?\{([^}]*)\}/gm
/** `export class D`, `export interface E` … */
const DECLARATION = /^export (?:abstract |async )*(class|const|function|interface|type) (\w+)/gm

const entries = Object.entries(packageJSON.exports).map(([name, { default: file }]) => ({
  name: name.replace(/^\./, packageJSON.name),
  names: exportsOf(file.replace('./dist/', 'src/').replace(/\.js$/, '.ts')),
}))

/** What a file exports, types marked as such. */
function exportsOf(file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8').replaceAll(COMMENT, '')
  if (/^export (\*|default)/m.test(text)) throw new Error(`${file}: an entry names each of its exports`)
  const listed = Array.from(text.matchAll(LIST), ([, type = '', names = '']) =>
    names.split(',').flatMap((name) => (name.trim() === '' ? [] : [type + name.trim()])),
  )
  const declared = Array.from(text.matchAll(DECLARATION), ([, kind = '', name = '']) =>
    kind === 'interface' || kind === 'type' ? `type ${name}` : name,
  )
  return [...listed.flat(), ...declared].map((name) => name.replace(/\w+ as /, '')).toSorted(byKindAndName)
}

function byKindAndName(a: string, b: string): number {
  return Number(a.startsWith('type ')) - Number(b.startsWith('type ')) || a.localeCompare(b, 'en')
}

describe('the exported names', () => {
  it('are those that exports.md lists', async () => {
    const lists = entries.map(({ name, names }) => `## ${name}\n\n${names.map((each) => `- ${each}\n`).join('')}`)
    await expect(`# Exported names\n\n${lists.join('\n')}`).toMatchFileSnapshot('exports.md')
  })

  it(`are at most ${ROOT_NAMES_MAX} at the root`, () => {
    expect(entries[0]?.names.length).toBeLessThanOrEqual(ROOT_NAMES_MAX)
  })
})
