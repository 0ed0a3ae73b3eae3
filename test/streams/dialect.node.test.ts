// The files of streams/ use only SQL that both engines understand: DuckDB runs them in the other tests, and here each is
// compared with what Basin SQL documents.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { dialectProblems, limitsRows } from './basin-dialect.ts'

const streams = join(import.meta.dirname, '../../streams')
const queries = readdirSync(join(streams, 'queries'))

function read(name: string): string {
  return readFileSync(join(streams, name), 'utf8')
}

describe('the dialect of streams/', () => {
  it.each(queries)(
    'is kept by queries/%s, which limits its rows and begins with its purpose and parameters',
    (name) => {
      const sql = read(`queries/${name}`)
      expect(dialectProblems(sql)).toEqual([])
      expect(limitsRows(sql)).toBe(true)
      expect(sql).toMatch(/^-- [A-Z]/)
      expect(sql).toMatch(/^-- Parameters?\b/m)
    },
  )

  it('is kept by events_once.sql, which has one window and, because it is used in other queries, no limit', () => {
    const sql = read('events_once.sql')
    expect(dialectProblems(sql)).toEqual([])
    expect(limitsRows(sql)).toBe(false)
    expect(sql.match(/INTERVAL .*'[^']*'/g)).toEqual(["INTERVAL /* :window */ '7 days'"])
  })

  it.each([
    ['SELECT id FROM events WHERE __ingest_ts > now()', 'unqualified table events'],
    ['SELECT id FROM cdc.events', 'no bound of __ingest_ts'],
    ['SELECT id FROM cdc.events WHERE "__ingest_tsx" > now() AND __ingest_ts < now()', 'no bound of __ingest_ts'],
    [
      'SELECT id FROM cdc.events WHERE __ingest_ts > now() UNION ALL SELECT id FROM cdc.events',
      'no bound of __ingest_ts',
    ],
    ['WITH a AS (SELECT id FROM cdc.events) SELECT id FROM a WHERE __ingest_ts > now()', 'no bound of __ingest_ts'],
    ['SELECT 1', 'SELECT without FROM'],
    ["WITH p AS (SELECT 'x' AS ns) SELECT ns FROM p", 'SELECT without FROM'],
    ['SELECT id FROM cdc.events WHERE __ingest_ts > now() LIMIT 10001', 'LIMIT 10001'],
    ['SELECT id FROM cdc.events WHERE __ingest_ts > now() LIMIT 10 OFFSET 5', 'OFFSET'],
    ["SELECT data->>'a' FROM cdc.events WHERE __ingest_ts > now()", 'operator ->>'],
    ['SELECT timestamp FROM cdc.events WHERE __ingest_ts > now()', 'unquoted timestamp'],
    ['SELECT arg_max(id, lsn) FROM cdc.events WHERE __ingest_ts > now()', 'function arg_max'],
    ['SELECT id FROM cdc.events WHERE __ingest_ts > now() AND op NOT IN (1)', 'NOT IN'],
    ['SELECT op FROM cdc.events WHERE __ingest_ts > now() GROUP BY 1', 'BY 1'],
    ['SELECT op FROM cdc.events WHERE __ingest_ts > now() GROUP BY ALL', 'BY all'],
  ])('is not kept by %s', (sql, problem) => {
    expect(dialectProblems(sql)).toContain(problem)
  })

  it('is not checked in comments, texts and quoted names', () => {
    const sql = `SELECT id -- OFFSET
      FROM cdc.events /* -> */ WHERE __ingest_ts > now() AND "offset" = 'it''s UNNEST(x)' LIMIT 1`
    expect(dialectProblems(sql)).toEqual([])
  })
})
