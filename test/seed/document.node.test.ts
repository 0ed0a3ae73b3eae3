// Every code block of the project's first document is part of the project: a file runs it line for line, except for the
// differences that are listed here; a block that is not a program is compared with what it shows.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { EVENTS_COLUMNS } from '../../src/lake/table/table.ts'
import { blocks, blockUnder } from './blocks.ts'
import { createProject, eventRow, type Lake, openLake } from '../cli/lake-fixture.ts'

interface Difference {
  readonly seed: string
  /** What is there instead. */
  readonly ours: string
  readonly reason: string
}

const IMPORT = 'the package has a name of its own'

/** Blocks that run, under their headings: where they do. */
const RUNNING: Readonly<Record<string, { readonly file: string; readonly differences?: readonly Difference[] }>> = {
  'UnifiedEvent Format': { file: 'test/seed/unified-event.test.ts' },
  'Emitting Events': {
    file: 'test/seed/emitting-events.test.ts',
    differences: [
      { seed: "'dotdo/db/cdc'", ours: "'durable-outbox'", reason: IMPORT },
      { seed: "key: 'ord_1', after: {...}", ours: "key: 'ord_1', after: { total: 1 }", reason: 'left to the reader' },
      { seed: "key: 'ord_2', after: {...}", ours: "key: 'ord_2', after: { total: 2 }", reason: 'left to the reader' },
    ],
  },
  'Managed Pipeline (HTTP Fallback)': {
    file: 'test/seed/managed-pipeline.node.test.ts',
    differences: [
      { seed: "'dotdo/streaming/managed-pipeline'", ours: "'durable-outbox/managed-pipeline'", reason: IMPORT },
      { seed: "'https://events.do/ingest'", ours: 'local', reason: 'nothing is sent out of a test' },
    ],
  },
  'Pipeline SQL Transform': {
    file: 'streams/events.sql',
    differences: [
      { seed: '-- streams/events.sql', ours: 'INSERT INTO cdc_events', reason: 'Pipelines SQL is an INSERT' },
      {
        seed: '  timestamp,',
        ours: '  "timestamp",\n  ns,',
        reason: 'a type elsewhere; ns is what the queries ask for',
      },
      {
        seed: '-- Expand local IDs to global URLs',
        ours: '-- Expand local names to global URLs',
        reason: 'they are names',
      },
      {
        seed: "CONCAT(ns, '/', table) as table_url",
        ours: `CASE WHEN "table" IS NULL THEN NULL ELSE CONCAT(ns, '/', "table") END AS table_url`,
        reason: 'table is reserved, and a domain event has none',
      },
      { seed: 'as source', ours: 'AS source', reason: 'spelling' },
      { seed: '  key,', ours: '  "key",', reason: 'a keyword elsewhere' },
      { seed: '  before,', ours: '  "before",', reason: 'a keyword elsewhere' },
      { seed: '  after,', ours: '  "after",', reason: 'a keyword elsewhere' },
      { seed: '  data,', ours: '  "data",', reason: 'a keyword elsewhere' },
      {
        seed: '  correlation_id,',
        ours: '  correlation_id,\n  txid,\n  epoch,\n  lsn,\n  visibility,',
        reason: 'what names an event, and who may see it',
      },
    ],
  },
  'Exactly-Once Delivery': {
    file: 'test/seed/exactly-once.test.ts',
    differences: [
      { seed: "'dotdo/do/primitives'", ours: "'durable-outbox'", reason: IMPORT },
      {
        seed: 'sql`INSERT INTO customers ...`',
        ours: "sql`INSERT INTO customers VALUES (${'cust_123'}, ${customer.name}, ${customer.email})`",
        reason: 'left to the reader',
      },
    ],
  },
}

/** The queries, which test/cli/query.seed.node.test.ts takes from the document as they are. */
const QUERIES = 'Consuming Events (R2 SQL)'

/** Blocks that show something, each with a test of its own below; a picture stays one. */
const SHOWING = ['Pipeline Flow', 'Schema (R2 Iceberg)', 'Parquet Schema']

const root = join(import.meta.dirname, '../..')
/** Without what a formatter may change. */
function linesOf(code: string): string[] {
  return code.split('\n').flatMap((line) => line.replaceAll(/\s+/g, ' ').trim() || [])
}

describe('the first document', () => {
  it('has no block without a test', () => {
    const known = [...Object.keys(RUNNING), QUERIES, ...SHOWING]
    expect(blocks.map(({ heading }) => heading).toSorted()).toEqual(known.toSorted())
  })

  it.each(Object.entries(RUNNING))('runs, line for line: %s', (heading, { file, differences = [] }) => {
    let block = blockUnder(heading)
    for (const { seed, ours } of differences) {
      expect(block, `${seed} is no longer in the document`).toContain(seed)
      block = block.replace(seed, () => ours)
    }
    const code = linesOf(readFileSync(join(root, file), 'utf8'))
    let position = 0
    for (const line of linesOf(block)) {
      const found = code.indexOf(line, position)
      expect(found, `${file} does not have, or has in another place: ${line}`).toBeGreaterThanOrEqual(0)
      position = found + 1
    }
  })

  it('has the columns that it shows', () => {
    const types: Record<string, string> = { string: 'string', timestamp: 'timestamptz', json: 'string' }
    const columns = linesOf(blockUnder('Parquet Schema'))
      .slice(1)
      .map((line) => {
        const [, name = '', type = '', nullable] = /^[├└]── (\w+): (\w+)( \(nullable\))?$/.exec(line) ?? []
        return { name, type: types[type], required: nullable === undefined }
      })
    expect(columns).toHaveLength(14)
    for (const { name, type, required } of columns) {
      const ours = EVENTS_COLUMNS.find((column) => column.name === name)
      expect(ours).toMatchObject({ name, type })
      // Always there, and nullable for the sake of engines that write the table for us.
      if (name !== '_meta') expect(ours?.required).toBe(required)
    }
  })
})

describe('the layout that the first document shows', () => {
  const paths = ['type=Customer.created/dt=2024-01-14/part-00000.parquet', 'metadata/v1.metadata.json']
  let project: Awaited<ReturnType<typeof createProject>>
  let lake: Lake

  beforeAll(async () => {
    project = await createProject()
    lake = await openLake(project.root)
    await lake.append([eventRow('2024-01-14T12:00:00Z', {}), eventRow('2024-01-14T12:00:00Z', { type: 'cdc.insert' })])
  })

  afterAll(() => project.remove())

  it('is that of the bucket, except that data files are under data/ and have unique names', async () => {
    const shown = blockUnder('Schema (R2 Iceberg)')
    for (const part of paths.flatMap((path) => path.split('/'))) expect(shown).toContain(part)
    const { objects } = await lake.bucket.list({ prefix: lake.prefix })
    const keys = objects.map(({ key }) => key.slice(lake.prefix.length)).toSorted()
    expect(keys).toEqual([
      expect.stringMatching(/^data\/type=Customer\.created\/dt=2024-01-14\/[-\da-f]{36}\.parquet$/),
      expect.stringMatching(/^data\/type=cdc\.insert\/dt=2024-01-14\/[-\da-f]{36}\.parquet$/),
      expect.stringMatching(/^metadata\/[-\da-f]{36}-m0\.avro$/),
      expect.stringMatching(/^metadata\/snap-\d+-1-[-\da-f]{36}\.avro$/),
      'metadata/v1.metadata.json',
      'metadata/version-hint.text',
    ])
  })
})
