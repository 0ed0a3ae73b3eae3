import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bindStream, boundStream, chooseEnvironment } from '../../src/cli/provision/worker-config.ts'
import { parseConfig, type Place } from '../../src/cli/provision/worker-config.ts'
import type { ConfigFormat } from '../../src/cli/wrangler-config.ts'

const PLACE = { environment: 'production', binding: 'EVENTS_PIPELINE' }
const TOP_LEVEL = { binding: 'EVENTS_PIPELINE' }
const ID = 'f00dfacef00dfacef00dfacef00dface'

function bind(text: string, format: ConfigFormat, place: Place = PLACE): string {
  const edited = bindStream(text, format, place, ID)
  if (edited === undefined) throw new Error('the configuration was not edited')
  return edited
}

/** Layouts in which the id stands already, as `@`; what surrounds it is what people write. */
const LAYOUTS: readonly { format: ConfigFormat; place: Place; text: string }[] = [
  {
    format: 'toml',
    place: PLACE,
    text: '[[env.production.pipelines]]\nbinding = "EVENTS_PIPELINE"\nstream = "@" # the id of your stream\n',
  },
  {
    format: 'toml',
    place: PLACE,
    text: '[[ env . production.pipelines ]]\r\n  stream="@"\r\n  binding="EVENTS_PIPELINE"\t# b\r\n',
  },
  {
    format: 'toml',
    place: PLACE,
    text: 'env.production.pipelines = [ { binding = "OTHER", stream = "1" }, { stream = "@", binding = "EVENTS_PIPELINE" } ]\n',
  },
  {
    format: 'toml',
    place: PLACE,
    text: '[env.production]\npipelines = [\n  # ours\n  { binding = "EVENTS_PIPELINE", stream = "@" }, # b\n]\n',
  },
  {
    format: 'toml',
    place: PLACE,
    text: '[[env.staging.pipelines]]\nbinding = "EVENTS_PIPELINE"\nstream = "1"\n\n[[env.production.pipelines]]\nbinding = "EVENTS_PIPELINE"\nremote = true\nstream = "@"',
  },
  {
    format: 'toml',
    place: TOP_LEVEL,
    text: '[[pipelines]]\nbinding = "EVENTS_PIPELINE"\nstream = "@"\n\n[[env.production.pipelines]]\nbinding = "EVENTS_PIPELINE"\nstream = "1"\n',
  },
  {
    format: 'jsonc',
    place: PLACE,
    text: '"env": { "production": {\n\t"pipelines": [{ "binding": "EVENTS_PIPELINE", /* id */ "stream": "@", },]\n} } // end\n',
  },
  {
    format: 'jsonc',
    place: TOP_LEVEL,
    text: '"pipelines":[{"binding":"A"},{"binding":"EVENTS_PIPELINE","stream":"@"}]\n',
  },
]

const tomlLine = fc.oneof(
  fc.constantFrom('', '# stream = "1"', '   ', '\t# [[env.production.pipelines]]'),
  fc.constantFrom(
    'a = 1',
    "b = 'x # y'",
    'c = """\nstream = "1"\n"""',
    'd = 1979-05-27T07:32:00Z',
    'e = [ 1,\n 2, ] # f',
  ),
)
const jsonLine = fc.oneof(
  fc.constantFrom('', '// "stream": "1",', '/* [ */'),
  fc.constantFrom('"a": 1,', '"b": "x // y",', '"c" : [ 1, 2, ],', '"d":{"pipelines":[]},'),
)

/** A configuration around a layout. In TOML the layout comes last, because the lines before it belong to the top level. */
function around(format: ConfigFormat, lines: readonly string[], text: string): string {
  const before = [...new Set(lines)].map((line) => `${line}\n`).join('')
  return format === 'toml' ? before + text : `{\n${before}${text}}\n`
}

describe('a stream', () => {
  it('is bound by changing its id, and not another byte', () => {
    const layouts = fc.constantFrom(...LAYOUTS)
    const lines = fc.record({ toml: fc.array(tomlLine, { maxLength: 8 }), jsonc: fc.array(jsonLine, { maxLength: 8 }) })
    const old = fc.stringMatching(/^[a-zA-Z0-9_ .-]{0,40}$/)
    fc.assert(
      fc.property(layouts, lines, old, ({ format, place, text }, lines, old) => {
        const config = around(format, lines[format], text)
        expect(bind(config.replace('@', old), format, place)).toBe(config.replace('@', ID))
      }),
      { numRuns: 500 },
    )
  })

  it('is bound in the configuration of this repository', () => {
    const text = readFileSync(join(import.meta.dirname, '../../wrangler.toml'), 'utf8')
    const edited = bind(text, 'toml', { ...PLACE, environment: 'pipelines' })
    expect(edited).toBe(text.replace(/^stream = "\w+"/m, `stream = "${ID}"`))
    expect(boundStream(parseConfig(edited, 'toml'), { ...PLACE, environment: 'pipelines' })).toBe(ID)
  })

  it.each<{ format: ConfigFormat; place?: Place; text: string }>([
    { format: 'toml', text: 'name = "x"\n\n[env.production]\nmain = "y.ts" # why\n' },
    { format: 'toml', text: '[env.production]\r\n\r\n[[env.production.pipelines]]\r\nbinding = "OTHER" # z' },
    { format: 'toml', place: TOP_LEVEL, text: 'name = "x" # why\n\n[vars]\na = 1\n' },
    { format: 'jsonc', text: '{\n  // why\n  "env": { "production": { "main": "y.ts" } }\n}\n' },
    {
      format: 'jsonc',
      text: '{ "env": { "production": { "pipelines": [ { "binding": "OTHER", "stream": "1" } ] } } }',
    },
    { format: 'jsonc', place: TOP_LEVEL, text: '{\r\n\t"name": "x" // why\r\n}\r\n' },
  ])('is added if it is not bound yet, and everything else stays: $format $text', ({ format, place, text }) => {
    const edited = bind(text, format, place)
    expect(boundStream(parseConfig(edited, format), place ?? PLACE)).toBe(ID)
    if (format === 'toml') expect(edited.startsWith(text)).toBe(true)
    for (const word of text.match(/[^\s{}[\],]+/g) ?? []) expect(edited).toContain(word)
    if (text.includes('\r\n')) expect(edited).not.toMatch(/(?<!\r)\n/)
    expect(bind(edited, format, place)).toBe(edited)
  })

  it.each([
    ['with inline tables only', 'env = { production = { main = "y.ts" } }\n'],
    [
      'that gives the stream by its old name',
      '[[env.production.pipelines]]\nbinding = "EVENTS_PIPELINE"\npipeline = "1"\n',
    ],
    [
      'that spells the id in escapes',
      '[[env.production.pipelines]]\nbinding = "EVENTS_PIPELINE"\nstream = "\\u0031"\n',
    ],
  ])('is left to its owner in a configuration %s', (_, text) => {
    expect(bindStream(text, 'toml', PLACE, ID)).toBeUndefined()
  })
})

describe('the environment', () => {
  const toml = (text: string) => parseConfig(text, 'toml')

  it('is the one that is named, or production, or the top level', () => {
    expect(chooseEnvironment(toml('[env.production]\n'), undefined)).toBe('production')
    expect(chooseEnvironment(toml('[env.staging]\n'), undefined)).toBeUndefined()
    expect(chooseEnvironment(toml(''), undefined)).toBeUndefined()
    expect(chooseEnvironment(toml('[env.staging]\n'), 'staging')).toBe('staging')
    expect(() => chooseEnvironment(toml('[env.staging]\n'), 'constructor')).toThrow('it has: staging')
  })

  it.each<[ConfigFormat, string]>([
    ['toml', 'name = = "x"'],
    ['jsonc', '{ "name": }'],
    ['toml', 'pipelines = "x"'],
    ['jsonc', '[]'],
  ])('is not looked for in a configuration that cannot be read: %s %s', (format, text) => {
    expect(() => parseConfig(text, format)).toThrow('the wrangler configuration cannot be read: ')
  })
})
