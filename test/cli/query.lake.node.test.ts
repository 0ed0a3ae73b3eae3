// The rows that the command sees: those of the current snapshot and no others, whatever else is in the lake.

import { appendFile, readdir, stat, truncate, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import avsc from 'avsc'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CACHE_GRACE_MS } from '../../src/cli/file-cache.ts'
import type { Row } from '../../src/lake/iceberg/schema.ts'
import { createProject, eventRow, type Lake, openLake, runIn } from './lake-fixture.ts'

const IDS = 'SELECT id FROM events ORDER BY id'
const TIME = '2026-11-01T02:00:00.000Z'

let project: Awaited<ReturnType<typeof createProject>>
let lake: Lake

beforeEach(async () => {
  project = await createProject()
  lake = await openLake(project.root)
})

afterEach(() => project.remove())

function row(id: string, fields: Row = {}): Row {
  return eventRow(TIME, { id, ...fields })
}

async function query(sql: string, ...flags: string[]) {
  const run = await runIn(project.root, ['query', sql, '--json', ...flags])
  return { ...run, rows: run.code === 0 ? (JSON.parse(run.stdout) as Record<string, unknown>[]) : [] }
}

async function ids(...flags: string[]): Promise<unknown[]> {
  const { code, stderr, rows } = await query(IDS, ...flags)
  expect({ code, stderr }).toMatchObject({ code: 0 })
  return rows.map((found) => found['id'])
}

function cacheOf(state = '.wrangler/state'): string {
  return join(project.root, state, 'query-cache/files')
}

/** Decodes an Avro file of the table, changes its records, and stores it under the same key. */
async function rewriteAvro(key: string, change: (record: Record<string, unknown>) => void): Promise<void> {
  const bytes = await (await lake.bucket.get(key))?.arrayBuffer()
  const decoder = new avsc.streams.BlockDecoder()
  const types: avsc.Type[] = []
  decoder.on('metadata', (type: avsc.Type) => types.push(type))
  decoder.end(Buffer.from(bytes ?? new ArrayBuffer(0)))
  const records: Record<string, unknown>[] = []
  for await (const record of decoder) records.push(record)
  records.forEach(change)
  const encoder = new avsc.streams.BlockEncoder(types[0] ?? 'null')
  records.forEach((record) => encoder.write(record))
  encoder.end()
  await lake.bucket.put(key, Buffer.concat(await encoder.toArray()))
}

function manifestListKey(): string {
  const path = lake.current().table.metadata.snapshots.at(-1)?.['manifest-list'] ?? ''
  return path.replace('s3://lake/', '')
}

function newestManifestKey(): string {
  return lake.current().table.manifests[0]?.manifest_path.replace('s3://lake/', '') ?? ''
}

describe('durable-outbox query on a table', () => {
  it('shows every column as it was written', async () => {
    const fields = {
      source: 'startups.studio/DO',
      op: 'c',
      before: null,
      after: '{"name":"Zoë 日本 👩‍👩‍👧"}',
      epoch: '01J',
      lsn: 9007199254740991n,
    }
    await lake.append([row('ünïcode "quoted" \u2028 ', { type: "it's/a=type", ...fields })])
    const { rows, stderr } = await query("SELECT *, after->>'name' AS name FROM cdc.events")
    expect(rows).toEqual([
      {
        id: 'ünïcode "quoted" \u2028 ',
        type: "it's/a=type",
        timestamp: TIME,
        ns: 'startups.studio',
        ...fields,
        lsn: 9007199254740991,
        ...Object.fromEntries(
          ['table_url', 'store', 'key', 'actor', 'data', 'correlation_id', 'txid', 'visibility', '__ingest_ts'].map(
            (name) => [name, null],
          ),
        ),
        _meta: '{"schemaVersion":1,"source":"DO/customers"}',
        name: 'Zoë 日本 👩‍👩‍👧',
      },
    ])
    expect(stderr).toMatch(/^\.wrangler\/state: snapshot \d+ of 20\S+Z, 1 row in 1 file \(1 fetched\)\n$/)
  })

  it('sees the rows of every commit', async () => {
    await lake.append([row('a'), row('b', { type: 'cdc.insert' })])
    await lake.append([row('c')])
    expect(await ids()).toEqual(['a', 'b', 'c'])
  })

  it('sees neither superseded files nor files that no snapshot names', async () => {
    await lake.append([row('old')])
    await lake.replace([row('new')])
    const orphan = (await lake.bucket.list({ prefix: `${lake.prefix}data/` })).objects.at(0)?.key ?? ''
    const body = await (await lake.bucket.get(orphan))?.arrayBuffer()
    await lake.bucket.put(`${orphan}-orphan.parquet`, body ?? null)
    expect(await ids()).toEqual(['new'])
  })

  it('leaves out the entries of a manifest that are marked as deleted', async () => {
    await lake.append([row('kept'), row('gone', { type: 'gone' })])
    await rewriteAvro(newestManifestKey(), (entry) => {
      const file = entry['data_file'] as { file_path: string }
      if (file.file_path.includes('type=gone')) entry['status'] = 2
    })
    await fitManifestLength()
    await rewriteAvro(manifestListKey(), (manifest) => {
      Object.assign(manifest, { added_files_count: 1, deleted_files_count: 1 })
    })
    expect(await ids()).toEqual(['kept'])
  })

  it('refuses a manifest that lists fewer files than its snapshot gives for it', async () => {
    await lake.append([row('kept'), row('gone', { type: 'gone' })])
    await rewriteAvro(newestManifestKey(), (entry) => {
      entry['status'] = 2
    })
    await fitManifestLength()
    expect(await query(IDS)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /m0\.avro is not valid: it lists 0 files, and its snapshot gives 2 for it; durable-outbox recover/,
      ),
    })
  })

  it('refuses a table with delete files instead of counting deleted rows', async () => {
    await lake.append([row('a')])
    await rewriteAvro(manifestListKey(), (manifest) => {
      manifest['content'] = 1
    })
    expect(await query(IDS)).toMatchObject({ code: 1, stderr: expect.stringContaining('delete files') })
  })

  it('refuses a manifest that names delete files', async () => {
    await lake.append([row('a')])
    await rewriteAvro(newestManifestKey(), (entry) => {
      ;(entry['data_file'] as { content: number }).content = 2
    })
    await fitManifestLength()
    expect(await query(IDS)).toMatchObject({ code: 1, stderr: expect.stringContaining('delete files') })
  })

  it('names the object that is missing', async () => {
    await lake.append([row('a')])
    await lake.bucket.delete(newestManifestKey())
    expect(await query(IDS)).toMatchObject({ code: 1, stderr: expect.stringContaining(newestManifestKey()) })
  })

  it('shows a column that was renamed or added since a file was written', async () => {
    await lake.append([row('a', { key: 'k1' })])
    const key = `${lake.prefix}metadata/v2.metadata.json`
    const text = JSON.stringify(lake.current().table.metadata).replace('"name":"key"', '"name":"primary_key"')
    const added = '{"id":99,"name":"region","required":false,"type":"string"}'
    await lake.bucket.put(key, text.replace('"fields":[', `"fields":[${added},`))
    expect((await query('SELECT id, primary_key, region FROM events')).rows).toEqual([
      { id: 'a', primary_key: 'k1', region: null },
    ])
  })
})

/** The length of a manifest is compared with the one in the list. */
async function fitManifestLength(): Promise<void> {
  const size = (await lake.bucket.head(newestManifestKey()))?.size
  await rewriteAvro(manifestListKey(), (manifest) => {
    manifest['manifest_length'] = size
  })
}

describe('the version hint', () => {
  it.each([
    ['is behind', '1'],
    ['is behind by more than are probed', '1'],
    ['is not a number', 'v2 or so'],
    ['names a version that does not exist', '4711'],
  ])('does not matter if it %s', async (title, hint) => {
    await lake.append([row('a')])
    await lake.append([row('b')])
    await lake.append([row('c')], { hint })
    if (title.includes('more than')) await copyVersions(3, 40)
    expect(await ids()).toEqual(['a', 'b', 'c'])
  })

  it('does not matter if it is missing', async () => {
    for (let n = 1; n <= 11; n += 1) await lake.append([row(`row ${String(n).padStart(2, '0')}`)])
    await lake.bucket.delete(`${lake.prefix}metadata/version-hint.text`)
    expect(await ids()).toHaveLength(11)
  })

  it('does not matter if it names a version that has expired', async () => {
    await lake.append([row('a')])
    await lake.append([row('b')], { hint: '1' })
    await lake.bucket.delete(`${lake.prefix}metadata/v1.metadata.json`)
    expect(await ids()).toEqual(['a', 'b'])
  })
})

async function copyVersions(from: number, to: number): Promise<void> {
  const newest = await (await lake.bucket.get(`${lake.prefix}metadata/v${from}.metadata.json`))?.text()
  const first = await (await lake.bucket.get(`${lake.prefix}metadata/v1.metadata.json`))?.text()
  for (let version = from; version < to; version += 1)
    await lake.bucket.put(`${lake.prefix}metadata/v${version}.metadata.json`, first ?? '')
  await lake.bucket.put(`${lake.prefix}metadata/v${to}.metadata.json`, newest ?? '')
}

describe('the state directory', () => {
  it('is the one whose table was committed last', async () => {
    const demo = await openLake(project.root, '.wrangler/demo')
    await lake.append([row('dev')], { nowMs: Date.parse(TIME) })
    await demo.append([row('demo')])
    expect(await ids()).toEqual(['demo'])
    await lake.append([row('dev 2')], { nowMs: Date.now() + 60_000 })
    const { rows, stderr } = await query(IDS)
    expect(rows).toHaveLength(2)
    expect(stderr).toMatch(/^\.wrangler\/state: .*; \.wrangler\/demo has an older table\n$/)
  })

  it('is the one that --state names', async () => {
    const other = await openLake(project.root, 'elsewhere/state')
    await other.append([row('other')], { nowMs: Date.parse(TIME) })
    await lake.append([row('dev')])
    expect(await ids('--state', 'elsewhere/state')).toEqual(['other'])
  })

  it('holds the table at the LAKE_LOCATION of the configuration', async () => {
    const moved = await openLake(project.root, '.wrangler/state', 's3://lake/elsewhere/table')
    await moved.append([row('moved')])
    expect((await query(IDS)).stderr).toContain('no table yet')
    await appendFile(join(project.root, 'wrangler.toml'), '\n[vars]\nLAKE_LOCATION = "s3://lake/elsewhere/table"\n')
    expect(await ids()).toEqual(['moved'])
  })

  it('has an empty table until something is committed', async () => {
    const { rows, stderr } = await query('SELECT count(*) AS n FROM events')
    expect(rows).toEqual([{ n: 0 }])
    expect(stderr).toBe('no table yet in .wrangler/state; start wrangler dev and commit an event first\n')
  })

  it('has an empty table until the table has a snapshot', async () => {
    const { 'current-snapshot-id': _, ...metadata } = lake.current().table.metadata
    await lake.bucket.put(`${lake.prefix}metadata/v1.metadata.json`, JSON.stringify(metadata))
    const { rows, stderr } = await query('SELECT count(*) AS n FROM events')
    expect(rows).toEqual([{ n: 0 }])
    expect(stderr).toContain('no snapshot yet (version 1)')
  })
})

describe('the cache', () => {
  it('fetches each file once', async () => {
    await lake.append([row('a'), row('b', { type: 'b' })])
    expect((await query(IDS)).stderr).toContain('2 rows in 2 files (2 fetched)')
    expect((await query(IDS)).stderr).toContain('2 rows in 2 files (0 fetched)')
    await lake.append([row('c')])
    expect((await query(IDS)).stderr).toContain('3 rows in 3 files (1 fetched)')
  })

  it('fetches a file again that is not whole', async () => {
    await lake.append([row('a')])
    await ids()
    for (const name of await readdir(cacheOf())) await truncate(join(cacheOf(), name), 10)
    expect(await ids()).toEqual(['a'])
  })

  it('drops files that the snapshot no longer names, once no query can still read them', async () => {
    await lake.append([row('old')])
    await ids()
    const old = await readdir(cacheOf())
    await writeFile(join(cacheOf(), 'killed.parquet.tmp'), 'half')
    await lake.replace([row('new')])
    await ids()
    expect(await readdir(cacheOf())).toEqual(expect.arrayContaining(old))
    const longAgo = new Date(Date.now() - CACHE_GRACE_MS - 1000)
    for (const name of await readdir(cacheOf())) await utimes(join(cacheOf(), name), longAgo, longAgo)
    expect(await ids()).toEqual(['new'])
    const left = await readdir(cacheOf())
    expect(left).toHaveLength(2)
    expect(left).not.toEqual(expect.arrayContaining(old))
  })

  it('adds nothing to the state of the Durable Objects', async () => {
    await lake.append([row('a')])
    await ids()
    await expect(stat(join(project.root, '.wrangler/state/v3/do'))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it('serves several queries at once', async () => {
    await lake.append(Array.from({ length: 20 }, (_, n) => row(`${n}`, { type: `t${n}` })))
    const runs = await Promise.all([ids(), ids(), ids()])
    for (const run of runs) expect(run).toHaveLength(20)
  })
})
