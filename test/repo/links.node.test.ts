// README.md and docs/ name files, headings and npm scripts that exist.

import { existsSync, globSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { describe, expect, it } from 'vitest'
import packageJSON from '../../package.json' with { type: 'json' }

const root = join(import.meta.dirname, '../..')
const documents = globSync(['README.md', 'docs/*.md', 'test/model/*.md'], { cwd: root })

const LINK = /\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)/g
/** A path in code, such as `src/relay/machine.ts` or `test/lake/`. */
const PATH = /`((?:docs|examples|migrations|proofs|scripts|src|streams|test)\/[\w./-]*)`/g
const SCRIPT = /\bnpm run ([\w-]+)/g

function read(path: string): string {
  return readFileSync(join(root, path), 'utf8')
}

/** The anchors of a document's headings, as GitHub makes them. */
function anchorsOf(path: string): string[] {
  return Array.from(read(path).matchAll(/^#+ (.+)$/gm), ([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(/\s/g, '-'),
  )
}

function isBroken(document: string, path: string, anchor: string | undefined): boolean {
  const target = path === '' ? document : relative(root, join(root, document, '..', path))
  if (!existsSync(join(root, target))) return true
  return anchor !== undefined && target.endsWith('.md') && !anchorsOf(target).includes(anchor)
}

describe.each(documents)('%s', (document) => {
  it('has links that lead somewhere', () => {
    const links = Array.from(read(document).matchAll(LINK), ([text, path = '', anchor]) => ({ text, path, anchor }))
    expect(links.filter(({ path, anchor }) => isBroken(document, path, anchor)).map(({ text }) => text)).toEqual([])
  })

  it('names files that exist', () => {
    const paths = Array.from(read(document).matchAll(PATH), ([, path = '']) => path)
    expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([])
  })

  it('names npm scripts that exist', () => {
    const scripts = Array.from(read(document).matchAll(SCRIPT), ([, script = '']) => script)
    expect(scripts.filter((script) => !(script in packageJSON.scripts))).toEqual([])
  })
})
