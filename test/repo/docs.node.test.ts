// README.md and docs/ are true of the repository: what they link to and name is there.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parse as parseJSONC } from 'jsonc-parser'
import { parse as parseTOML } from 'smol-toml'
import { describe, expect, it } from 'vitest'
import { blocksOf, pathOf } from '../../proofs/stranger/markdown.ts'

const root = join(import.meta.dirname, '../..')
const documents = ['README.md', ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`)]

function read(path: string): string {
  return readFileSync(join(root, path), 'utf8')
}

function matchesOf(text: string, pattern: RegExp): string[] {
  return Array.from(text.matchAll(pattern), ([, match = '']) => match)
}

/** The anchor that GitHub gives to each heading. */
function anchorsOf(path: string): string[] {
  return matchesOf(read(path), /^#+ (.+)$/gm).map((heading) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  )
}

function isBroken(document: string, link: string): boolean {
  const [path = '', anchor] = link.split('#')
  const target = path === '' ? document : join(dirname(document), path)
  if (!existsSync(join(root, target))) return true
  return anchor !== undefined && !anchorsOf(target).includes(anchor)
}

describe.each(documents)('%s', (document) => {
  it('has no broken link', () => {
    const links = matchesOf(read(document), /\]\(([^)\s]+)\)/g).filter((link) => !/^https?:/.test(link))
    expect(links.filter((link) => isBroken(document, link))).toEqual([])
  })

  it('names only files that are there', () => {
    const paths = matchesOf(read(document), /`((?:src|test|streams|examples|proofs)\/[\w./-]*)`/g)
    expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([])
  })

  it('names only commands that are there', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
    const commands = matchesOf(read(document), /npm run (\w+)/g)
    expect(commands.filter((command) => !(command in scripts))).toEqual([])
  })
})

describe('README.md', () => {
  it('has the same configuration as jsonc and as toml', () => {
    const [jsonc, toml] = ['wrangler.jsonc', 'wrangler.toml'].map((path) => {
      const block = blocksOf('README.md', read('README.md')).find((block) => pathOf(block) === path)
      return block?.text ?? ''
    })
    expect(parseTOML(toml ?? '')).toEqual(parseJSONC(jsonc ?? ''))
  })
})

describe('docs/architecture.md', () => {
  it('draws every room of src', () => {
    const [, picture = ''] = read('docs/architecture.md').split('```')
    const rooms = readdirSync(join(root, 'src')).map((name) => name.replace(/\.ts$/, ''))
    expect(rooms.filter((room) => !new RegExp(`\\b${room}\\b`).test(picture))).toEqual([])
  })
})

describe('docs/glossary.md', () => {
  it('has at most 45 words, each once', () => {
    const words = matchesOf(read('docs/glossary.md'), /^\| (?!word )([^|]+) \|/gm).flatMap((entry) => entry.split(', '))
    expect(words.length).toBeLessThanOrEqual(45)
    expect(new Set(words).size).toBe(words.length)
  })
})
