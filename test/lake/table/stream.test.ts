// What the lake makes of a record is what SQLite makes of it by streams/events.sql.

import { env } from 'cloudflare:workers'
import { runInDurableObject } from 'cloudflare:test'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { rowOf } from '../../../src/lake/table/stream.generated.ts'
import { toEvent } from '../../../src/lake/table/stream.ts'
import SQL from '../../../streams/events.sql?raw'
import { record } from '../table.ts'

const SELECT = SQL.slice(SQL.indexOf('SELECT'))
const TAKEN_AT = '2026-11-22T08:30:00.000Z'
const COLUMNS = Object.keys(toEvent(record('columns', 1), TAKEN_AT))

/** The rows that SQLite makes of events. */
function bySQLite(events: readonly object[]): Promise<unknown[]> {
  const columns = COLUMNS.map((name) => `value ->> '${name}' AS "${name}"`)
  return runInDurableObject(env.PLAIN.getByName('stream'), (_, { storage }) =>
    storage.sql
      .exec(`WITH events AS (SELECT ${columns.join(', ')} FROM json_each(?)) ${SELECT}`, JSON.stringify(events))
      .toArray(),
  )
}

const name = fc.string({ minLength: 1, maxLength: 20, unit: 'binary' }).filter((text) => !text.includes('\0'))
const fields = fc.record(
  {
    type: name,
    ns: name,
    source: name,
    table: name,
    key: name,
    actor: name,
    op: fc.constantFrom('c', 'u', 'd', 'r'),
    correlation_id: name,
    visibility: fc.constantFrom('user', 'team'),
    after: fc.dictionary(name, fc.jsonValue()),
    data: fc.dictionary(name, fc.jsonValue()),
  },
  { requiredKeys: [] },
)

describe('the rows of the lake', () => {
  it('are those that SQLite makes with the same file', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fields, { minLength: 1, maxLength: 20 }), async (many) => {
        const events = many.map((one, n) => toEvent({ ...record('stream', n + 1), ...one }, TAKEN_AT))
        const ours = events.map((event) => {
          const { __ingest_ts, ...row } = rowOf(event)
          expect(__ingest_ts).toBe(TAKEN_AT)
          return row
        })
        expect(ours).toEqual(await bySQLite(events))
      }),
      { numRuns: 60 },
    )
  })
})
