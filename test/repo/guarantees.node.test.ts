// The table in docs/guarantees.md against the tests, both ways: what it promises is tested, and what the tests tag is
// promised there.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { filesOf } from './imports.ts'

const root = join(import.meta.dirname, '../..')

interface Guarantee {
  readonly id: string
  /** Files and folders of the repository that the row names. */
  readonly paths: readonly string[]
}

function guaranteesOf(text: string): Guarantee[] {
  return text.split('\n').flatMap((line) => {
    const id = /^\| (I\d+) /.exec(line)?.[1]
    return id === undefined
      ? []
      : [{ id, paths: Array.from(line.matchAll(/`((?:src|test)\/[^`]+)`/g), ([, path = '']) => path) }]
  })
}

const [promised = '', aimedAt = ''] = readFileSync(join(root, 'docs/guarantees.md'), 'utf8').split(
  '## Not promised yet',
)
const guarantees = guaranteesOf(promised)
const aims = guaranteesOf(aimedAt)

/** For each test file the ids in its titles. */
const tags = new Map(
  filesOf('test')
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => [file, new Set(readFileSync(join(root, file), 'utf8').match(/\[I\d+\]/g))]),
)

function testsBelow(path: string): string[] {
  return [...tags.keys()].filter((file) => file === path || (path.endsWith('/') && file.startsWith(path)))
}

describe('docs/guarantees.md', () => {
  it.each(guarantees)('names files that exist for $id', ({ paths }) => {
    expect(paths.length).toBeGreaterThan(1)
    expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([])
  })

  it.each(aims)('names files that exist for what holds of $id today', ({ paths }) => {
    expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([])
  })

  it.each(guarantees)('names tests for $id whose titles have it', ({ id, paths }) => {
    const tests = paths.filter((path) => path.startsWith('test/'))
    expect(tests.filter((path) => !testsBelow(path).some((file) => tags.get(file)?.has(`[${id}]`)))).toEqual([])
  })

  it('lists each invariant that a test is tagged with', () => {
    const listed = new Set([...guarantees, ...aims].map(({ id }) => `[${id}]`))
    expect([...tags.values()].reduce((all, ids) => all.union(ids), new Set()).difference(listed)).toEqual(new Set())
  })
})
