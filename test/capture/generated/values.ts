// Values as SQL, in pools by the type of the column that they are for: from plain ones to those that break things.

import * as fc from 'fast-check'
import type { Features } from './features.ts'
import type { Mode } from './documented.ts'

export type ColumnType = 'INTEGER' | 'TEXT' | 'REAL' | 'BLOB' | 'NUMERIC' | 'ANY' | ''
export type Collation = 'NOCASE' | 'RTRIM'

/** The value number `n` of a pool: a few for the column's type, many for its type, or any at all. */
export interface Value {
  readonly pool: 'few' | 'typed' | 'any'
  readonly n: number
}

/** What of a column decides about its values. */
export interface ValueColumn {
  readonly type: ColumnType
  readonly isKey: boolean
  /** It takes values of its type only. */
  readonly isStrict?: boolean
  /** Its values are those of another table's key. */
  readonly isReference?: boolean
  readonly collate?: Collation | undefined
  readonly mode?: Mode | undefined
}

const number = fc.nat(60)
/** Few, so that rows meet. */
export const fewValue: fc.Arbitrary<Value> = fc.record({ pool: fc.constant('few' as const), n: fc.nat(7) })
export const value: fc.Arbitrary<Value> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ pool: fc.constant('few' as const), n: fc.nat(7) }) },
  { weight: 6, arbitrary: fc.record({ pool: fc.constant('typed' as const), n: number }) },
  { weight: 1, arbitrary: fc.record({ pool: fc.constant('any' as const), n: number }) },
)

export function valueSQL({ pool, n }: Value, column: ValueColumn, features: Features): string {
  const values = poolOf(pool, column, features)
  return values[n % values.length] ?? 'NULL'
}

function poolOf(pool: Value['pool'], column: ValueColumn, features: Features): readonly string[] {
  if (pool === 'any' && column.isStrict === true) return poolOf('typed', column, features)
  if (column.isReference === true) return [...few(column, features), 'NULL']
  if (pool === 'few') return few(column, features)
  if (pool === 'typed') return column.isKey ? keys(column, features) : typed(column, features)
  if (column.isKey) return [...keys(column, features), ...(features.oddKeys ? anyOf(features) : ['NULL', "''"])]
  return anyOf(features)
}

function few({ type, collate, isKey, mode }: ValueColumn, { oddKeys }: Features): readonly string[] {
  if (mode === 'json') return ['\'{"a":1}\'', "'[]'", 'NULL']
  switch (type) {
    case 'INTEGER':
      return ['1', '2', '3', '4']
    case 'TEXT':
      if (collate === 'NOCASE') return ["'a'", "'A'", "'b'", "'B'"]
      if (collate === 'RTRIM') return ["'a'", "'a '", "'b'", "'b  '"]
      return ["'a'", "'b'", "'c'", "'A'"]
    case 'REAL':
      return ['1.5', '2.5', '3.0', '4.25']
    case 'BLOB':
      return ["x'01'", "x'02'", "x'41'", "x'ff'"]
    case 'NUMERIC':
    case 'ANY':
    case '':
      return !isKey || oddKeys ? ['1', "'1'", "x'31'", "'a'", '2.5'] : ['1', '2', '3', '4']
  }
}

/** Values of keys, none of which is refused. */
function keys(column: ValueColumn, features: Features): readonly string[] {
  const { oddKeys, brokenText } = features
  const values = [...few(column, features)]
  if (column.type === 'INTEGER')
    values.push('-5', '0', '9007199254740993', '4611686018427387905', '-9223372036854775808')
  if (column.type === 'TEXT') values.push("'é'", "'it''s'", "'\"'", "'[1]'", "'1'")
  if (column.type === 'TEXT' && oddKeys && brokenText) values.push("CAST(x'ff' AS TEXT)", "CAST(x'fe' AS TEXT)")
  if (column.type === 'REAL' && oddKeys)
    values.push('0.3', '0.1 + 0.2', '2461371.1234567', '2461371.1234567007', '9e999', '1e300')
  if (column.type === 'BLOB' && oddKeys) values.push("'41'", "'A'", '65')
  return values
}

function typed(column: ValueColumn, features: Features): readonly string[] {
  if (column.mode !== undefined) return drizzles(column.mode, features)
  switch (column.type) {
    case 'INTEGER':
      return [...INTEGERS, 'NULL']
    case 'TEXT':
      return [...texts(features), 'NULL']
    case 'REAL':
      return [...reals(features), 'NULL']
    case 'BLOB':
      return [...BLOBS, 'NULL']
    case 'NUMERIC':
    case 'ANY':
    case '':
      return anyOf(features)
  }
}

function drizzles(mode: Mode, features: Features): readonly string[] {
  switch (mode) {
    case 'boolean':
      return ['0', '1', 'NULL', '2']
    case 'json':
      return [...jsons(features), 'NULL', "'no JSON'"]
    case 'timestamp':
      return ['0', '1700000000', '-1', 'NULL', '253402300799']
    case 'timestamp_ms':
      return ['0', '1700000000123', '-1', 'NULL', '-62135596800000']
  }
}

function anyOf(features: Features): readonly string[] {
  const values = ['NULL', ...INTEGERS, ...texts(features), ...reals(features), ...BLOBS, ...jsons(features)]
  return features.largeRows ? [...values, ...LARGE] : values
}

const INTEGERS = ['0', '1', '2', '42', '-1', '9007199254740991', '9007199254740993', '-9223372036854775808']
/** Some too large for an event, some only with what was there before. */
const LARGE = ['hex(zeroblob(160000))', 'zeroblob(250000)', 'hex(zeroblob(550000))', 'zeroblob(2000000)']
const BLOBS = ["x''", "x'00'", "x'41'", "x'ff'", "x'c0ffee'", "jsonb('[1]')"]

function texts({ nul, brokenText, markers }: Features): string[] {
  const values = [
    "'a'",
    "'b'",
    "''",
    "'it''s'",
    "'é€😀'",
    "'1'",
    "'1.0'",
    "'null'",
    "'\"'",
    "'back\\slash'",
    'char(10)',
  ]
  if (nul) values.push('char(0)', "'a' || char(0) || 'b'", "'[\\u0000-\\u001f]'", "'\\\\u0000'")
  if (brokenText) values.push("CAST(x'ff' AS TEXT)", "CAST(x'eda0bd' AS TEXT)", "CAST(x'61c3' AS TEXT)")
  if (markers) values.push(...MARKERS)
  return values
}

function reals({ extremeReals }: Features): string[] {
  const values = [
    '0.5',
    '0.1',
    '0.1 + 0.2',
    '3.0',
    '-0.0',
    '1e15',
    '123456789.12345679',
    '1e-7',
    '9e999',
    '-9e999',
    '9e999 - 9e999',
  ]
  if (extremeReals)
    values.push(
      '-9223372036854775808.0',
      '1e308',
      '5e-324',
      '1.7976931348623157e308',
      '1.2345678901234567e-250',
      '7.1234567890123457e30',
    )
  return values
}

function jsons({ markers, jsonLimits, nul }: Features): string[] {
  const values = [
    '\'{"a":[1,{"b":null}]}\'',
    "'[]'",
    "'null'",
    "'true'",
    '\'"text"\'',
    '\'{"__proto__":1,"constructor":{}}\'',
    nested(20),
  ]
  if (markers) values.push(...MARKERS)
  if (jsonLimits) values.push(nested(63), nested(64), nested(100), '\'"\\ud83d"\'', '\'{"\\ud83d":1}\'')
  if (nul) values.push('\'"\\u0000"\'', '\'{"a\\u0000":1}\'')
  return values
}

const MARKERS = [
  '\'{"$hex":"not hex"}\'',
  '\'{"$hex":"c0ffee"}\'',
  '\'{"$hex":"c0ffee","more":1}\'',
  '\'{"$base64":"wP/u"}\'',
  '\'{"$text":"a"}\'',
  '\'{"$real":"1.5"}\'',
  "'Inf'",
  "'wP/u'",
]

/** JSON text of an array in an array, so many deep. */
function nested(depth: number): string {
  return `'${'['.repeat(depth)}${']'.repeat(depth)}'`
}
