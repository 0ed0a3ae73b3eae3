// docs/architecture.md draws all of src, and docs/glossary.md stays short.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '../..')

function read(path: string): string {
  return readFileSync(join(root, path), 'utf8')
}

describe('docs/architecture.md', () => {
  it('draws every room of src', () => {
    const [, picture = ''] = read('docs/architecture.md').split('```')
    const rooms = readdirSync(join(root, 'src')).map((name) => name.replace(/\.ts$/, ''))
    expect(rooms.filter((room) => !new RegExp(`\\b${room}\\b`).test(picture))).toEqual([])
  })
})

describe('docs/glossary.md', () => {
  it('has at most 40 words, each once', () => {
    const rows = read('docs/glossary.md').matchAll(/^\| (?!word )([^|]+) \|/gm)
    const words = Array.from(rows, ([, entry = '']) => entry.split(', ')).flat()
    expect(words.length).toBeLessThanOrEqual(40)
    expect(new Set(words).size).toBe(words.length)
  })
})
