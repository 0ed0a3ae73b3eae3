// How `npm run stranger` reads the blocks of the documentation.

import { describe, expect, it } from 'vitest'
import { blocksOf, moduleOf, pathOf } from '../../proofs/stranger/markdown.ts'

function blockOf(fence: string, text: string) {
  const [block] = blocksOf('a.md', `A text.\n\n\`\`\`${fence}\n${text}\n\`\`\`\n`)
  if (block === undefined) throw new Error('there is no block')
  return block
}

describe('a block of the documentation', () => {
  it('has its place, its language and its word', () => {
    expect(blockOf('sh run', 'ls')).toEqual({ place: 'a.md:3', language: 'sh', word: 'run', text: 'ls\n' })
    expect(blockOf('sh', 'ls').word).toBe('')
  })

  it.each([
    ['ts src/a.ts', 'let a = 1', 'src/a.ts'],
    ['ts', '// src/b.ts\nlet b = 1', 'src/b.ts'],
    ['toml', '# test/wrangler.toml: no pipelines here', 'test/wrangler.toml'],
    ['ts', '// a comment. And so on.', undefined],
    ['ts sketch', 'let c = …', undefined],
  ])('that begins with %j and %j is the file %j', (fence, text, path) => {
    expect(pathOf(blockOf(fence, text))).toBe(path)
  })

  it('is a module if it exports something', () => {
    const text = "import { a } from 'a'\nexport const b = a"
    expect(moduleOf(blockOf('ts', text))).toBe(`${text}\n`)
  })

  it('is otherwise what a method does, with its imports before and its fields as constants', () => {
    const text = "import { a } from 'a'\n\nfilms = new Store(this.ctx)\nfilms.create(a)"
    const module = moduleOf(blockOf('ts', text))
    expect(module).toMatch(
      /^import \{ a \} from 'a'\nexport class \w+ extends CDCDurableObject<Env> \{\nasync method\(\)/,
    )
    expect(module).toContain('\nconst films = new Store(this.ctx)\nfilms.create(a)\n')
  })

  it('is a member of a class, or nothing, if its word says so', () => {
    expect(moduleOf(blockOf('ts member', 'size = 1'))).toContain('{\nsize = 1\n')
    expect(moduleOf(blockOf('ts sketch', 'let a = …'))).toBeUndefined()
  })
})
