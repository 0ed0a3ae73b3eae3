// Basin SQL's JSON functions on DuckDB: one text of SQL has the same result on both.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createProject, runIn } from './lake-fixture.ts'

const DOCUMENT = JSON.stringify({
  $id: 'c1',
  name: 'Zoë "Z"',
  'a/b': { '~': { '': 'deep' } },
  n: -5,
  price: 1.25,
  huge: 0,
  yes: true,
  none: null,
  list: [{ x: 1 }, 'two'],
  one: { a: { b: { c: { d: { e: { f: { g: { h: 8 } } } } } } } },
}).replace('"huge":0', '"huge":18446744073709551615')

let project: Awaited<ReturnType<typeof createProject>>

beforeAll(async () => {
  project = await createProject()
})

afterAll(() => project.remove())

async function valueOf(expression: string): Promise<unknown> {
  const sql = `SELECT ${expression} AS value FROM (SELECT '${DOCUMENT}' AS document, 'no JSON' AS broken, CAST(NULL AS VARCHAR) AS nothing)`
  const { code, stdout, stderr } = await runIn(project.root, ['query', sql, '--json'])
  expect({ code, stderr }).toMatchObject({ code: 0 })
  const [row] = JSON.parse(stdout) as { value: unknown }[]
  return row?.value
}

describe('the JSON functions of Basin SQL, run locally', () => {
  it.each([
    ["json_get_str(document, 'name')", 'Zoë "Z"'],
    ["json_get_str(document, '$id')", 'c1'],
    ["json_get_str(document, 'a/b', '~', '')", 'deep'],
    ["json_get_str(document, 'list', 1)", 'two'],
    ["json_get_str(document, 'n')", ''],
    ["json_get_str(document, 'missing')", ''],
    ["json_get_int(document, 'n')", -5],
    ["json_get_int(document, 'list', 0, 'x')", 1],
    ["json_get_int(document, 'one', 'a', 'b', 'c', 'd', 'e', 'f', 'g')", 0],
    ["json_get_int(json_get_json(document, 'one', 'a', 'b', 'c', 'd', 'e', 'f', 'g'), 'h')", 8],
    ["json_get_int(document, 'price')", 0],
    ["json_get_int(document, 'name')", 0],
    ["json_get_int(document, 'huge')", 0],
    ["json_get_float(document, 'price')", 1.25],
    ["json_get_float(document, 'n')", -5],
    ["json_get_float(document, 'name')", 0],
    ["json_get_bool(document, 'yes')", true],
    ["json_get_bool(document, 'name')", false],
    ["json_get_json(document, 'list')", '[{"x":1},"two"]'],
    ["json_get_json(document, 'missing')", null],
    ["json_as_text(document, 'name')", 'Zoë "Z"'],
    ["json_as_text(document, 'price')", '1.25'],
    ["json_as_text(document, 'list', 0)", '{"x":1}'],
    ["json_contains(document, 'none')", true],
    ["json_contains(document, 'a/b', '~')", true],
    ["json_contains(document, 'missing')", false],
    ["json_length(document, 'list')", 2],
    ["json_length(document, 'a/b')", 1],
    ["json_length(document, 'name')", 0],
    ["json_length('[1, 2, 3]')", 3],
    ["json_get_str(broken, 'name') || json_get_str(nothing, 'name')", ''],
    ["json_contains(broken, 'name') OR json_contains(nothing, 'name')", false],
  ])('answer %s as documented', async (expression, value) => {
    expect(await valueOf(expression)).toEqual(value)
  })
})
