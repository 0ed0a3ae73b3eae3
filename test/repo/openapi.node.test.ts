// The description of the HTTP routes: valid by another's judgement, and of the calls that there are.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Validator } from '@seriousme/openapi-schema-validator'
import { describe, expect, it } from 'vitest'
import { callOf, isRead } from '../../src/admin/outbox-calls.ts'

const text = readFileSync(join(import.meta.dirname, '../../docs/openapi.json'), 'utf8')
const { paths } = JSON.parse(text) as { paths: Record<string, { post?: { security: Record<string, unknown>[] } }> }
const OUTBOX = '/admin/outbox/{class}/{object}/'

/** As the refusal of an unknown one lists them. */
function methods(): string[] {
  try {
    callOf('nothing')
  } catch (error) {
    return (/the methods are (.+)$/.exec(String(error))?.[1] ?? '').split(', ')
  }
  throw new Error('there is a method named nothing')
}

describe('docs/openapi.json', () => {
  it('is valid', async () => {
    expect(await new Validator().validate(JSON.parse(text))).toEqual({ valid: true })
  })

  it('has every call of an outbox, and says which of them a reader may make', () => {
    const described = Object.keys(paths).filter((path) => path.startsWith(OUTBOX))
    expect(described.map((path) => path.slice(OUTBOX.length)).toSorted()).toEqual(methods().toSorted())
    for (const path of described) {
      const mayRead = paths[path]?.post?.security.some((one) => 'reader' in one)
      expect([path, mayRead]).toEqual([path, isRead(path.slice(OUTBOX.length))])
    }
  })
})
