import { DuckDBInstance } from '@duckdb/node-api'
import * as duckdb from '@duckdb/node-api'
import { describe, expect, it } from 'vitest'
import { runSQL } from '../../src/cli/duckdb.ts'
import { type Format, printRows } from '../../src/cli/output.ts'
import { ioOf } from '../../src/cli/command.ts'
import { EVENTS_COLUMNS } from '../../src/lake/table/table.ts'

async function print(sql: string, format: Format, columns?: number): Promise<string> {
  let text = ''
  const process = {
    stdout: (chunk: string) => (text += chunk),
    stderr: () => {},
    stdin: async () => '',
    typedLines: async function* () {},
    interruption: () => new AbortController().signal,
    cwd: '',
    env: {},
  }
  const result = await runSQL(duckdb, { columns: EVENTS_COLUMNS, files: [] }, sql)
  await printRows(result, format, ioOf({ ...process, columns }))
  return text
}

async function json(sql: string): Promise<unknown> {
  return JSON.parse(await print(sql, { json: true }))
}

function csv(sql: string): Promise<string> {
  return print(sql, { csv: true })
}

function table(sql: string, columns?: number): Promise<string> {
  return print(sql, {}, columns)
}

describe('rows as JSON', () => {
  it('prints integers as numbers if those are exact, otherwise as text', async () => {
    expect(await json('SELECT 9007199254740991 AS a, 9007199254740993 AS b, CAST(-5 AS HUGEINT) AS c')).toEqual([
      { a: 9007199254740991, b: '9007199254740993', c: -5 },
    ])
  })

  it('prints decimals as numbers if those are exact, otherwise as text', async () => {
    expect(await json('SELECT 1.25 AS a, CAST(12345678901234567890.5 AS DECIMAL(38, 1)) AS b')).toEqual([
      { a: 1.25, b: '12345678901234567890.5' },
    ])
  })

  it('prints times as ISO 8601 in UTC with the digits that they have', async () => {
    expect(
      await json(`SELECT TIMESTAMPTZ '2026-11-01 04:00:00.12+02' AS tz, TIMESTAMP '1969-12-31 23:59:59.999999' AS micros,
        TIMESTAMP_NS '2026-11-01 02:00:00.123456789' AS nanos, TIMESTAMP_S '2026-11-01 02:00:00' AS s,
        TIMESTAMP_MS '2026-11-01 02:00:00.5' AS ms, TIMESTAMP 'infinity' AS never, DATE '2026-11-01' AS day`),
    ).toEqual([
      {
        tz: '2026-11-01T02:00:00.120Z',
        micros: '1969-12-31T23:59:59.999999Z',
        nanos: '2026-11-01T02:00:00.123456789Z',
        s: '2026-11-01T02:00:00.000Z',
        ms: '2026-11-01T02:00:00.500Z',
        never: 'infinity',
        day: '2026-11-01',
      },
    ])
  })

  it('prints nested values as JSON, converted in the same way', async () => {
    expect(await json(`SELECT [TIMESTAMPTZ '2026-11-01 02:00:00+00'] AS list, {'n': 1::BIGINT} AS struct`)).toEqual([
      { list: ['2026-11-01T02:00:00.000Z'], struct: { n: 1 } },
    ])
  })

  it('keeps two columns of the same name apart', async () => {
    const [row] = (await json('SELECT 1 AS a, 2 AS a')) as [Record<string, number>]
    expect(Object.values(row)).toEqual([1, 2])
  })

  it('prints an array of many portions of rows', async () => {
    const rows = await json('SELECT range AS n FROM range(5000)')
    expect(rows).toHaveLength(5000)
  })
})

describe('rows as CSV', () => {
  it('quotes commas, quotes and line breaks, and tells null from the empty text', async () => {
    const sql = `SELECT 'a,b' AS "x,y", 'say "hi"' AS q, 'two' || chr(10) || 'lines' AS n, NULL AS null_, '' AS empty, 1.5 AS d`
    expect(await csv(sql)).toBe('"x,y",q,n,null_,empty,d\r\n"a,b","say ""hi""","two\nlines",,"",1.5\r\n')
  })

  it('is read back by DuckDB as it was', async () => {
    const text = `ß, "日本" 👩‍👩‍👧`
    const written = await csv(`SELECT '${text}' AS t`)
    expect(written).toBe(`t\r\n"ß, ""日本"" 👩‍👩‍👧"\r\n`)
    const connection = await (await DuckDBInstance.create()).connect()
    const reader = await connection.runAndReadAll(`SELECT regexp_extract($1, '"(.*)"', 1) AS t`, [written])
    expect(reader.getRows()[0]?.[0]).toBe(text.replaceAll('"', '""'))
  })
})

describe('rows as a table', () => {
  it('prints a table and the number of rows', async () => {
    expect(await table("SELECT 1 AS n, 'x' AS text, NULL AS nothing")).toBe(
      ['┌───┬──────┬─────────┐', '│ n │ text │ nothing │', '├───┼──────┼─────────┤', '│ 1 │ x    │ NULL    │']
        .concat('└───┴──────┴─────────┘', '1 row\n')
        .join('\n'),
    )
  })

  it('cuts the widest cells so that the table fits the terminal', async () => {
    const lines = (await table("SELECT 'short' AS a, repeat('long ', 100) AS b", 60)).split('\n')
    expect(lines[0]).toHaveLength(60)
    expect(lines[3]).toMatch(/^│ short │ long long .*… │$/)
  })

  it('cuts nothing if the output is not a terminal', async () => {
    expect(await table("SELECT repeat('long ', 100) AS b")).toContain('long '.repeat(100))
  })

  it('aligns and cuts wide characters by their width in cells', async () => {
    const lines = (
      await table("SELECT * FROM (VALUES ('日本語日本語日本語日本語日本語'), ('👍🏽 ok'), ('é')) t(x)", 24)
    ).split('\n')
    expect(lines.slice(3, 6)).toEqual(['│ 日本語日本語日本語… │', '│ 👍🏽 ok               │', '│ é                   │'])
  })

  it('prints a block per row if columns side by side would be too narrow', async () => {
    const columns = EVENTS_COLUMNS.map(({ name }) => `repeat('${name} ', 9) AS "${name}"`).join(', ')
    const text = await table(`SELECT ${columns}`, 80)
    expect(text).toContain('│ row 1 ')
    expect(text).toMatch(/│ correlation_id │ correlation_id .*… │/)
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80)
  })

  it('shows control characters instead of sending them to the terminal', async () => {
    const text = await table(`SELECT chr(27) || '[2J' || chr(10) || chr(8238) AS x`)
    expect(text).toContain(String.raw`\u001b[2J\n\u202e`)
    expect(text).not.toContain('\u001b')
  })

  it('shows the first thousand rows and counts all', async () => {
    const text = await table('SELECT range AS n FROM range(2500)')
    expect(text).toContain('│ 999 ')
    expect(text).not.toContain('│ 1000 ')
    expect(text).toMatch(/2500 rows, the first 1000 of them shown\n$/)
  })
})
