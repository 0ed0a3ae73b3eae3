import { env } from 'cloudflare:workers'
import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { currentWatermarks } from '../../../src/lake/table/watermarks.ts'
import { dieAtStep, revive } from '../../faulty-bucket.ts'
import { lakeClock, lakeVariables } from '../../worker.ts'
import { batch, commit, EPOCH, liveKeys, table } from '../table.ts'
import { type Fault, RETRY_AFTER_MS, StandIn } from './stand-in.ts'

const STEPS_MAX = 100

let catalog: StandIn

/** A lake of its own that commits to a catalog, and the catalog. */
function configure(variables: typeof lakeVariables = {}): void {
  catalog = new StandIn(env.LAKE_BUCKET)
  for (const name of Object.keys(lakeVariables)) Reflect.deleteProperty(lakeVariables, name)
  Object.assign(lakeVariables, {
    LAKE_CATALOG: catalog.binding,
    LAKE_CATALOG_URI: 'https://catalog.test/iceberg/',
    LAKE_CATALOG_TOKEN: catalog.token,
    LAKE_CATALOG_WAREHOUSE: catalog.warehouse,
    LAKE_LIMITS: '{"commitMs":0}',
    ...variables,
  })
}

/** Begins anew: with an empty lake, and another catalog without a table. */
async function startAnew(variables: typeof lakeVariables = {}): Promise<void> {
  configure(variables)
  await runInDurableObject(table, async (_, { storage }) => storage.deleteAll()).catch(() => undefined)
  await evictDurableObject(table)
}

/** A promise of ours: one of an RPC call can itself be called, and vitest does. */
async function sent(source: string, lsn: number): Promise<void> {
  await env.LAKE.send(batch(source, lsn, lsn))
}

async function lsnsOf(source: string): Promise<number[]> {
  const rows = await catalog.rows()
  return rows
    .filter((row) => row['source'] === `acme/${source}`)
    .map((row) => Number(row['lsn']))
    .toSorted((a, b) => a - b)
}

function upTo(last: number): number[] {
  return Array.from({ length: last }, (_, index) => index + 1)
}

/** All watermarks, as a reader finds them in the table alone. */
async function watermarks() {
  const { snapshots, properties } = catalog.metadata
  const summaries = snapshots.map((each) => ({ sequence: each['sequence-number'], summary: each.summary }))
  return currentWatermarks(
    summaries,
    async (path) => (await env.LAKE_BUCKET.get(path.replace('s3://lake/', '')))?.json(),
    properties,
  )
}

/** What the lake keeps of the table is the table. */
async function expectAgreement(): Promise<void> {
  expect((await liveKeys()).toSorted()).toEqual((await catalog.files()).map(({ key }) => key).toSorted())
  expect(await table.status()).toMatchObject({ bufferedEvents: 0, version: catalog.metadata['last-sequence-number'] })
}

describe('a lake whose table is in a REST catalog', () => {
  beforeAll(() => startAnew())

  it('[I5] creates the namespace and the table, and lands each event once', async () => {
    await env.LAKE.send(batch('first', 1, 3))
    await env.LAKE.send(batch('first', 2, 5))
    await commit()
    expect(await lsnsOf('first')).toEqual(upTo(5))
    await expectAgreement()
    expect(await table.status()).toMatchObject({ catalog: 'https://catalog.test/iceberg' })
    expect(await table.status()).not.toHaveProperty('lastError')
  })

  it('[I10] carries the watermarks of all logs in the properties of the table', async () => {
    await env.LAKE.send(batch('second', 1, 2))
    await commit()
    expect(await watermarks()).toEqual({ 'acme/first': { [EPOCH]: 5 }, 'acme/second': { [EPOCH]: 2 } })
  })

  it('[I10] writes them to a file if they are of many logs', async () => {
    for (let log = 0; log < 250; log += 50) {
      await env.LAKE.send(Array.from({ length: 50 }, (_, index) => batch(`many-${log + index}`, 1, 1)).flat())
      await commit()
    }
    await env.LAKE.send(batch('first', 6, 6))
    await commit()
    const all = await watermarks()
    expect(catalog.metadata.properties['cdc.watermarks-file']).toBeDefined()
    expect(Object.keys(all)).toHaveLength(252)
    expect(all['acme/first']).toEqual({ [EPOCH]: 6 })
  })

  it('asks the catalog for the table once, as long as nobody else commits', () => {
    expect(
      catalog.requests.filter((request) => request === 'GET /iceberg/v1/p1/namespaces/cdc/tables/events'),
    ).toHaveLength(1)
  })
})

describe('a commit to a REST catalog', () => {
  let lsn = 0

  beforeAll(async () => {
    await startAnew()
    lsn = 0
  })

  beforeEach(async () => {
    await env.LAKE.send(batch('faults', lsn + 1, lsn + 3))
    lsn += 3
  })

  /** What was acknowledged before comes again, and more; then the lake continues. */
  async function afterwards() {
    await env.LAKE.send(batch('faults', lsn - 2, lsn + 1))
    lsn += 1
    lakeClock.aheadMs += 60_000
    await commit()
    await commit()
    await expectAgreement()
    return { lsns: await lsnsOf('faults'), watermarks: await watermarks(), lastError: (await table.status()).lastError }
  }

  function whole() {
    return { lsns: upTo(lsn), watermarks: { 'acme/faults': { [EPOCH]: lsn } }, lastError: undefined }
  }

  it.each<Fault>([
    'is lost before it arrives',
    'is applied, and its answer is lost',
    'is applied, and answered by 500',
    'is answered by 502',
    'is answered by 503, with a time to wait',
    'is answered by 429, with a time to wait',
    'is applied, and delivered again',
    'is answered with something that is no JSON',
  ])('[I5] that %s lands each event once', async (fault) => {
    catalog.fault = fault
    await commit()
    expect(await afterwards()).toEqual(whole())
  })

  it('[I5] whose answer is lost is found after others have compacted the table and let its snapshot expire', async () => {
    catalog.fault = 'is applied, and its answer is lost'
    await commit()
    await catalog.compact()
    await catalog.expire()
    expect(await afterwards()).toEqual(whole())
  })

  describe.each([409, 400])('that somebody else is faster than, by an answer of %i', (status) => {
    beforeAll(() => {
      catalog.raceStatus = status
    })

    it('[I5] lands each event once if it arrives late, before the one that replaces it', async () => {
      catalog.fault = 'arrives late'
      await commit()
      catalog.before = async () => expect(await catalog.deliverLate()).toBe(200)
      expect(await afterwards()).toEqual(whole())
    })

    it('[I5] lands each event once if it arrives late, after the one that replaces it', async () => {
      catalog.fault = 'arrives late'
      await commit()
      await commit()
      expect(await catalog.deliverLate()).toBe(status)
      expect(await afterwards()).toEqual(whole())
    })

    it.each<[string, () => Promise<unknown>]>([
      ['compacted the table', () => catalog.compact()],
      ['let snapshots expire', () => catalog.expire()],
      ['added a column', () => catalog.addColumn(`score-${catalog.metadata['last-column-id']}`)],
    ])('[I5] lands each event once, and at once, if others have just %s', async (_, act) => {
      catalog.before = async () => void (await act())
      await commit()
      expect(await lsnsOf('faults')).toEqual(upTo(lsn))
      expect(await afterwards()).toEqual(whole())
    })
  })

  it('[I5] that comes after all of that at once lands each event once', async () => {
    await catalog.addColumn('another')
    await catalog.compact()
    await catalog.expire()
    await commit()
    expect(await lsnsOf('faults')).toEqual(upTo(lsn))
    expect(await afterwards()).toEqual(whole())
  })

  it('writes by an older partition spec if others have made one that the lake cannot write', async () => {
    await catalog.changePartitions()
    await commit()
    expect(await afterwards()).toEqual(whole())
    expect((await catalog.files()).every(({ partition }) => partition.length === 2)).toBe(true)
  })
})

describe('a table that somebody else has created', () => {
  beforeAll(async () => {
    await startAnew()
    await catalog.createByOthers()
  })

  it('[I5] gets the columns that the lake writes and it lacks, under ids of its own', async () => {
    await env.LAKE.send(batch('found', 1, 3))
    await commit()
    expect(await lsnsOf('found')).toEqual([1, 2, 3])
    const { fields } = catalog.metadata.schemas.at(-1) ?? { fields: [] }
    expect(fields.slice(-2).map(({ id, name }) => [id, name])).toEqual([
      [20, 'visibility'],
      [21, '__ingest_ts'],
    ])
    expect(fields[0]).toMatchObject({ id: 1, name: 'score', type: 'double' })
    expect((await catalog.rows()).every((row) => row['__ingest_ts'] !== null)).toBe(true)
    await expectAgreement()
  })

  it('is not written to if a column of it does not fit, and events wait', async () => {
    await catalog.changeType('lsn', 'int')
    await env.LAKE.send(batch('found', 4, 4))
    await commit()
    await commit()
    expect((await table.status()).lastError).toContain('column lsn')
    expect(await table.status()).toMatchObject({ bufferedEvents: 1 })
    await catalog.changeType('lsn', 'long')
    await commit()
    expect(await lsnsOf('found')).toEqual([1, 2, 3, 4])
  })
})

describe('a commit with more partitions than one may have', () => {
  beforeAll(() => startAnew())

  it('[I7] goes into one file without one, by a spec that is added once', async () => {
    for (const first of [1, 51]) {
      const records = batch('wide', first, first + 49)
      await env.LAKE.send(records.map((record, index) => ({ ...record, type: `type-${index}` })))
      await commit()
    }
    expect(await lsnsOf('wide')).toEqual(upTo(100))
    expect(catalog.metadata['partition-specs'].map(({ fields }) => fields.length)).toEqual([2, 0])
    expect((await catalog.files()).map(({ partition }) => partition)).toEqual([[], []])
    await expectAgreement()
  })
})

describe('rows that others have deleted', () => {
  beforeAll(() => startAnew())

  it('[I10] stay deleted, and are named by the watermark', async () => {
    for (const last of [1, 2, 3]) {
      await env.LAKE.send(batch('deleted', last, last))
      await commit()
    }
    const { rows } = await catalog.deleteOneFile()
    expect(rows).toBe(1)
    await env.LAKE.send(batch('deleted', 1, 4))
    await commit()
    expect(await lsnsOf('deleted')).toHaveLength(3)
    expect(await watermarks()).toEqual({ 'acme/deleted': { [EPOCH]: 4 } })
    await expectAgreement()
  })
})

describe.each(['before', 'after'] as const)('a lake that dies %s a step of its commit to a REST catalog', (when) => {
  beforeAll(() => startAnew())

  it('[I5] has the same table afterwards, whichever step it was', async () => {
    let lsn = 0
    let deaths = 0
    for (let step = 1, isDone = false; !isDone && step < STEPS_MAX; step++) {
      await env.LAKE.send(batch('dies', lsn + 1, lsn + 3))
      lsn += 3
      dieAtStep(step, when)
      await commit()
      await evictDurableObject(table)
      isDone = !revive()
      if (isDone) break
      deaths += 1
      // Somebody else compacts the table each other time, before the lake is back.
      if (step % 2 === 0) await catalog.compact()
      await env.LAKE.send(batch('dies', lsn - 2, lsn + 1))
      lsn += 1
      await commit()
      await commit()
      expect(await lsnsOf('dies')).toEqual(upTo(lsn))
      expect(await watermarks()).toEqual({ 'acme/dies': { [EPOCH]: lsn } })
      await expectAgreement()
    }
    // Configuration, table, data file, manifest, list, two transactions, commit: fewer would mean that they are not steps.
    expect(deaths).toBeGreaterThanOrEqual(8)
  })
})

describe('a catalog that asks for time', () => {
  beforeAll(() => startAnew())

  it('[I6] is left alone until then, and asked again then', async () => {
    await env.LAKE.send(batch('busy', 1, 1))
    catalog.fault = 'is answered by 429, with a time to wait'
    await commit()
    catalog.isBusy = true
    const asked = catalog.requests.length
    await env.LAKE.send(batch('busy', 2, 2))
    await commit()
    expect(catalog.requests.slice(asked).filter((request) => request.startsWith('POST'))).toEqual([])
    const alarmMs = await runInDurableObject(table, (_, { storage }) => storage.getAlarm())
    expect(alarmMs).toBeGreaterThan(Date.now() + lakeClock.aheadMs + RETRY_AFTER_MS - 2_000)
    catalog.isBusy = false
    lakeClock.aheadMs += RETRY_AFTER_MS
    await commit()
    expect(await lsnsOf('busy')).toEqual([1, 2])
    expect(catalog.tooEarly).toBe(0)
  })

  it('[I7] gets no more commits than the limit commitMs allows', async () => {
    lakeVariables.LAKE_LIMITS = '{}'
    await evictDurableObject(table)
    const commits = () =>
      catalog.requests.filter((request) => request.endsWith('tables/events') && request.startsWith('POST')).length
    const before = commits()
    for (let lsn = 3; lsn < 23; lsn += 1) {
      await env.LAKE.send(batch('busy', lsn, lsn))
      await commit()
      lakeClock.aheadMs += 500
    }
    // Ten seconds, and three from one commit to the next.
    expect(commits() - before).toBe(4)
    lakeClock.aheadMs += 3_000
    await commit()
    expect(await lsnsOf('busy')).toEqual(upTo(22))
  })
})

describe('a lake that keeps its table fast', () => {
  async function land(count: number): Promise<void> {
    for (let lsn = 1; lsn <= count; lsn += 1) {
      await env.LAKE.send(batch('kept', lsn, lsn))
      await commit()
    }
  }

  it('compacts files and lets snapshots expire, and leaves what others have written', async () => {
    await startAnew()
    await land(8)
    await catalog.compact()
    await land(15)
    expect(await lsnsOf('kept')).toEqual(upTo(15))
    expect(catalog.metadata.snapshots.length).toBeLessThanOrEqual(5)
    expect((await catalog.files()).length).toBeLessThan(8)
    await expectAgreement()
  })

  it('[I5] compacts what the table has now, also if others compacted it while the lake slept', async () => {
    await startAnew({ LAKE_CATALOG_UPKEEP: 'catalog' })
    await land(6)
    await catalog.compact()
    lakeVariables.LAKE_CATALOG_UPKEEP = 'lake'
    await evictDurableObject(table)
    await commit()
    expect(await lsnsOf('kept')).toEqual(upTo(6))
    await expectAgreement()
  })

  it('[I3] repairs what the table has now, also if others compacted it while the lake slept', async () => {
    await startAnew({ LAKE_CATALOG_UPKEEP: 'catalog' })
    await land(3)
    await catalog.compact()
    await catalog.expire()
    await evictDurableObject(table)
    expect(await table.repair([])).toEqual({ goneFiles: 0, forgotten: [] })
    expect(await lsnsOf('kept')).toEqual(upTo(3))
    await expectAgreement()
  })

  it('keeps the files that are read again after a rollback', async () => {
    await startAnew()
    await land(3)
    await env.LAKE.send(batch('kept', 4, 4))
    await commit()
    expect(await table.status()).toMatchObject({ upkeep: { did: 'compact' } })
    await catalog.rollBackTo(3)
    for (let lsn = 5; lsn <= 14; lsn += 1) {
      await env.LAKE.send(batch('kept', lsn, lsn))
      await commit()
    }
    // LSN 4 went with the rollback, which is respected; and verify names it.
    expect(await lsnsOf('kept')).toEqual(upTo(14).filter((lsn) => lsn !== 4))
    await expectAgreement()
  })

  it('keeps the snapshots that have a name, and their files', async () => {
    await startAnew()
    await land(3)
    await catalog.tag('audit')
    const named = catalog.metadata['current-snapshot-id']
    await land(12)
    expect(catalog.metadata.snapshots.map((snapshot) => snapshot['snapshot-id'])).toContain(named)
    await catalog.rollBackTo(3)
    expect(await lsnsOf('kept')).toEqual(upTo(3))
  })

  it('rewrites nothing while rows are hidden by delete files, and carries these over', async () => {
    await startAnew()
    await land(3)
    const path = await catalog.hideRows()
    await land(12)
    expect(await catalog.files()).toHaveLength(12)
    const { manifests } = await catalog.table()
    expect(manifests.filter(({ content }) => content === 1).map(({ manifest_path }) => manifest_path)).toEqual([path])
    await expectAgreement()
  })

  it('leaves that to the catalog if that does it', async () => {
    await startAnew({ LAKE_CATALOG_UPKEEP: 'catalog' })
    await land(12)
    expect(await lsnsOf('kept')).toEqual(upTo(12))
    expect(catalog.metadata.snapshots).toHaveLength(12)
    expect(await catalog.files()).toHaveLength(12)
  })
})

describe('the configuration of a catalog', () => {
  it.each<[string, typeof lakeVariables, string]>([
    ['an address', { LAKE_CATALOG_URI: 'catalog.test' }, 'LAKE_CATALOG_URI: must be an address'],
    ['an address at all', { LAKE_CATALOG_URI: '' }, 'LAKE_CATALOG_URI: is missing'],
    ['one way to sign in', { LAKE_CATALOG_CREDENTIAL: 'a:b' }, 'both LAKE_CATALOG_TOKEN and LAKE_CATALOG_CREDENTIAL'],
    ['a namespace', { LAKE_CATALOG_TABLE: 'events' }, 'must be <namespace>.<table>'],
    ['one who does upkeep', { LAKE_CATALOG_UPKEEP: 'both' }, 'must be lake or catalog'],
    ['the right token', { LAKE_CATALOG_TOKEN: 'wrong' }, 'check LAKE_CATALOG_TOKEN'],
    ['the right warehouse', { LAKE_CATALOG_WAREHOUSE: 'another' }, 'there is no such warehouse'],
  ])('must have %s, or nothing is taken in', async (_, variables, problem) => {
    await startAnew(variables)
    await expect(sent('config', 1)).rejects.toThrow(problem)
    configure()
    await evictDurableObject(table)
    expect(await table.status()).toMatchObject({ bufferedEvents: 0 })
  })

  it('must be of the bucket that the lake writes to', async () => {
    await startAnew()
    catalog.isElsewhere = true
    await expect(sent('config', 1)).rejects.toThrow("bind the catalog's bucket")
  })

  it('must be of the catalog itself: no token is taken to where it redirects', async () => {
    await startAnew()
    catalog.redirect = 'https://elsewhere.test/iceberg/v1/config'
    await expect(sent('config', 1)).rejects.toThrow(
      'the catalog redirects to https://elsewhere.test/iceberg/v1/config, which is not followed',
    )
  })

  it('may be of a catalog that has no prefix for its paths', async () => {
    await startAnew()
    catalog.prefix = ''
    await env.LAKE.send(batch('config', 1, 1))
    await commit()
    expect(await lsnsOf('config')).toEqual([1])
  })

  it('may have a client id and a secret, and gets a new token when that is refused', async () => {
    await startAnew({ LAKE_CATALOG_TOKEN: '', LAKE_CATALOG_CREDENTIAL: 'lake:se:cret' })
    await env.LAKE.send(batch('oauth', 1, 1))
    await commit()
    expect(catalog.tokens).toBe(1)
    catalog.token = 'another'
    await env.LAKE.send(batch('oauth', 2, 2))
    await commit()
    expect(catalog.tokens).toBe(2)
    expect(await lsnsOf('oauth')).toEqual([1, 2])
  })
})

describe('a table that is not the one that the lake knows', () => {
  it.each<[string, () => Promise<unknown>, string]>([
    ['was dropped and created anew', () => catalog.recreate(), 'dropped and created anew'],
    [
      'has the commits of another lake',
      () => catalog.commitAsLake('12345'),
      'commits of a lake that this one does not know',
    ],
  ])('is not written to if it %s', async (_, act, problem) => {
    await startAnew()
    await env.LAKE.send(batch('other', 1, 1))
    await commit()
    await act()
    await env.LAKE.send(batch('other', 2, 2))
    await commit()
    expect((await table.status()).lastError).toContain(problem)
    expect(await table.status()).toMatchObject({ bufferedEvents: 1 })
  })

  it('is not written to by a lake that has lost its database', async () => {
    await startAnew()
    await env.LAKE.send(batch('other', 1, 1))
    await commit()
    await runInDurableObject(table, async (_, { storage }) => storage.deleteAll())
    await evictDurableObject(table)
    await expect(sent('other', 2)).rejects.toThrow("this lake's database is new or from an older copy")
  })
})

describe('a lake that has lost its database, or has an older one', () => {
  async function lose(): Promise<void> {
    await runInDurableObject(table, async (_, { storage }) => storage.deleteAll())
    await evictDurableObject(table)
  }

  it('[I5] takes the table over by recover, and lands nothing twice', async () => {
    await startAnew()
    await env.LAKE.send(batch('astray', 1, 3))
    await commit()
    await catalog.compact()
    await lose()
    expect(await table.recover(true)).toMatchObject({ isDone: false, events: 3, lostEvents: 0, stateVersion: 0 })
    expect(await table.recover(false)).toMatchObject({ isDone: true, events: 3, faults: [], version: 2, keptFiles: 1 })
    await env.LAKE.send(batch('astray', 1, 5))
    await commit()
    expect(await lsnsOf('astray')).toEqual(upTo(5))
    expect(await watermarks()).toEqual({ 'acme/astray': { [EPOCH]: 5 } })
    await expectAgreement()
    expect(await table.recover(false)).toMatchObject({ isDone: false })
  })

  it('[I3] keeps what waits in it, and lets what others have deleted land again', async () => {
    await startAnew()
    for (const lsn of [1, 2, 3]) {
      await env.LAKE.send(batch('older', lsn, lsn))
      await commit()
    }
    await env.LAKE.send(batch('older', 4, 4))
    await catalog.deleteOneFile()
    expect(await table.recover(false)).toMatchObject({ isDone: true, lostEvents: 1, events: 2 })
    await env.LAKE.send(batch('older', 1, 3))
    await commit()
    expect(await lsnsOf('older')).toEqual([1, 2, 3, 4])
    await expectAgreement()
  })
})
