import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  endsStatement,
  fillParameters,
  isBlank,
  normalized,
  replaceTokens,
  tokensOf,
  withoutComments,
} from '../../src/cli/sql-tokens.ts'
import { stream } from '../streams/landed.ts'

const gap = fc.constantFrom(' ', '\n', '\n\n    ', '\t', ' -- a comment\n', ' /* another\n one */ ')

describe('a statement', () => {
  it.each([
    ['SELECT 1;', true],
    ['SELECT 1; -- that is all', true],
    ['SELECT 1', false],
    ['SELECT 1; SELECT 2', false],
    ["SELECT ';", false],
    ["SELECT 'a;\nb';", true],
    ['SELECT "a;', false],
    ['SELECT 1 /* and;', false],
    ['SELECT 1 -- and;', false],
    ['SELECT 1 / 2;', true],
  ])('%j has ended: %j', (sql, hasEnded) => {
    expect(endsStatement(sql)).toBe(hasEnded)
  })
})

describe('the parameters of a query', () => {
  it('are filled in', () => {
    const sql = "SELECT * FROM t WHERE a = /* :a */ 'x' AND b > /* :b */ 10 OR c = /* :a */ 'y' -- :a"
    expect(fillParameters(sql, { a: '$a', b: '$b' })).toBe('SELECT * FROM t WHERE a = $a AND b > $b OR c = $a -- :a')
    expect(fillParameters(sql, { b: '20' })).toBe(sql.replace('/* :b */ 10', '20'))
  })

  it('are found however the query is formatted', () => {
    const shipped = stream('queries/state-as-of.sql')
    const words = tokensOf(shipped).flatMap(({ start, end, parameter }) => [
      ...(parameter === undefined ? [] : [`/*:${parameter.name}*/`]),
      shipped.slice(start, end),
    ])
    const values = { ns: "'acme'", table: '$table', limit: '7' }
    const filled = normalized(fillParameters(words.join(' '), values))
    fc.assert(
      fc.property(fc.array(gap, { minLength: words.length, maxLength: words.length }), (gaps) => {
        const sql = words.map((word, index) => word + (word.startsWith('/*:') ? ' ' : gaps[index])).join('')
        expect(normalized(fillParameters(sql, values))).toBe(filled)
      }),
    )
  })

  it.each(['SELECT \'/* :a */\', "/* :a */" -- /* :a */', '/* :a */', 'SELECT :a', 'SELECT /* a */ 1, /* :ab */ 1'])(
    'are none of these: %s',
    (sql) => {
      expect(() => fillParameters(sql, { a: '1' })).toThrow('the SQL marks no parameter as /* :a */')
    },
  )
})

describe('the tokens of SQL', () => {
  it('leave out spaces and comments, and have their place and depth', () => {
    const sql = `SELECT "a ""b""", 'it''s' -- c\n/* d */ FROM (T)`
    expect(tokensOf(sql).map(({ kind, text, depth }) => `${kind} ${text} ${depth}`)).toEqual([
      'word select 0',
      'quoted a "b" 0',
      'mark , 0',
      "text 'it''s' 0",
      'word from 0',
      'mark ( 0',
      'word t 1',
      'mark ) 0',
    ])
    for (const { kind, text, start, end } of tokensOf(sql))
      expect(sql.slice(start, end).toLowerCase()).toBe(kind === 'quoted' ? '"a ""b"""' : text)
  })

  it('are replaced in their places', () => {
    const sql = 'a /* b */ c'
    const [a, c] = tokensOf(sql)
    expect(
      a &&
        c &&
        replaceTokens(sql, [
          [a, 'long'],
          [c, 'd'],
        ]),
    ).toBe('long /* b */ d')
  })
})

describe('SQL', () => {
  it.each(['', ' ; ', '-- only a comment', '/* and\nanother */ ;\n'])('is blank: "%s"', (sql) => {
    expect(isBlank(sql)).toBe(true)
  })

  it('is not blank if anything is left', () => {
    expect(isBlank("''")).toBe(false)
  })

  it('loses comments and no texts', () => {
    expect(withoutComments(`'--a' -- b\n"/*c*/" /* d */ e`).replaceAll(/\s+/g, ' ')).toBe(`'--a' "/*c*/" e`)
  })
})
