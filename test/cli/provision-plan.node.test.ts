import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Found, plan, type Step, type Wanted } from '../../src/cli/provision/plan.ts'
import { diffSchemas, type Schema, schemaShape } from '../../src/cli/provision/schema.ts'
import { diffSQL, nameTables } from '../../src/cli/provision/sql.ts'

const RESOURCES = ['bucket', 'catalog', 'stream', 'sink', 'pipeline', 'binding']

const wanted: Wanted = {
  names: {
    bucket: 'cdc-events',
    namespace: 'cdc',
    table: 'events',
    stream: 'cdc_events',
    sink: 'cdc_events_sink',
    pipeline: 'cdc_events',
  },
  schema: {
    fields: [
      { name: 'id', type: 'string', required: true },
      { name: 'timestamp', type: 'timestamp', unit: 'microsecond', required: true },
    ],
  },
  sql: 'INSERT INTO cdc_events_sink\nSELECT id\nFROM cdc_events',
}

/** An account that has everything that is wanted. */
const complete: Found = {
  hasBucket: true,
  hasCatalog: true,
  stream: { id: 'abc', schema: wanted.schema, takesBindings: true },
  sink: { type: 'r2_data_catalog', bucket: 'cdc-events', namespace: 'cdc', table: 'events', rollIntervalSeconds: 300 },
  pipeline: { sql: wanted.sql },
  boundStream: 'abc',
}

function actionsOf(steps: readonly Step[]): Record<string, string> {
  return Object.fromEntries(steps.map(({ resource, action }) => [resource, action]))
}

function differencesOf(found: Partial<Found>, more: Partial<Wanted> = {}): readonly string[] {
  return plan({ ...wanted, ...more }, { ...complete, ...found }).flatMap(({ differences }) => differences)
}

describe('the plan', () => {
  it('keeps what is as wanted and creates what is missing, in the one order that works', () => {
    fc.assert(
      fc.property(
        fc.record({
          hasBucket: fc.boolean(),
          hasCatalog: fc.boolean(),
          stream: fc.constantFrom(complete.stream, undefined),
          sink: fc.constantFrom(complete.sink, undefined),
          pipeline: fc.constantFrom(complete.pipeline, undefined),
          boundStream: fc.constantFrom('abc', 'another', undefined),
        }),
        (found) => {
          const steps = plan(wanted, found)
          const present = (there: unknown) => (there === false || there === undefined ? 'create' : 'keep')
          expect(steps.map(({ resource }) => resource)).toEqual(RESOURCES)
          expect(actionsOf(steps)).toEqual({
            bucket: present(found.hasBucket),
            catalog: present(found.hasCatalog),
            stream: present(found.stream),
            sink: present(found.sink),
            pipeline: present(found.pipeline),
            binding: found.stream !== undefined && found.boundStream === 'abc' ? 'keep' : 'write',
          })
        },
      ),
    )
  })

  it('names the stream that the configuration binds, if it is another', () => {
    expect(differencesOf({ boundService: 'shop' })).toEqual([
      'the configuration binds it to the service shop: remove that, or name another with --binding',
    ])
    expect(differencesOf({ boundStream: 'another' })).toEqual([
      'the configuration has another, wanted is the id of cdc_events',
    ])
  })

  it.each<{ found: Partial<Found>; more?: Partial<Wanted>; differences: string[] }>([
    {
      found: { stream: { id: 'abc', takesBindings: true } },
      differences: ['it is unstructured: a single column "value", no schema'],
    },
    {
      found: { stream: { id: 'abc', schema: wanted.schema, takesBindings: false } },
      differences: ['it does not take events from Workers (worker_binding is off)'],
    },
    { found: { sink: { type: 'r2' } }, differences: ['its type is r2, which does not write into a catalog'] },
    {
      found: { sink: { type: 'r2_data_catalog', bucket: 'other', namespace: 'cdc' } },
      differences: [
        'bucket: the account has other, wanted is cdc-events',
        'table: the account has none, wanted is events',
      ],
    },
    {
      found: {},
      more: { rollIntervalSeconds: 60 },
      differences: ['roll interval in seconds: the account has 300, wanted is 60'],
    },
    {
      found: { pipeline: { sql: wanted.sql, failure: 'the catalog is gone' } },
      differences: ['it has failed: the catalog is gone'],
    },
    {
      found: { pipeline: { sql: wanted.sql.replace('SELECT id', 'SELECT *') } },
      differences: ['- SELECT *', '+ SELECT id'],
    },
  ])('has a conflict: $differences.0', ({ found, more = {}, differences }) => {
    expect(differencesOf(found, more)).toEqual(differences)
    expect(
      plan({ ...wanted, ...more }, { ...complete, ...found }).filter((step) => step.action === 'conflict'),
    ).toHaveLength(1)
  })
})

describe('the schemas', () => {
  const type = fc.constantFrom('string', 'int64', 'json')
  const field = fc.record({ name: fc.constantFrom('id', 'type', 'key', 'data', 'actor'), type, required: fc.boolean() })
  const schema = fc.uniqueArray(field, { selector: ({ name }) => name, maxLength: 8 }).map((fields) => ({ fields }))

  it('are the same in any order of their columns, and with anything that the account adds', () => {
    fc.assert(
      fc.property(schema, (schema) => {
        const fields = schema.fields
          .toReversed()
          .map((field) => ({ ...field, unit: null, sql_name: 'x', metadata_key: null }))
        expect(diffSchemas(schema, schemaShape.parse({ fields, inferred: null }))).toEqual([])
      }),
    )
  })

  it('differ in one line for each column that differs', () => {
    fc.assert(
      fc.property(schema, schema, (one, other) => {
        const columns = (schema: Schema) => new Map(schema.fields.map((field) => [field.name, JSON.stringify(field)]))
        const [ones, others] = [columns(one), columns(other)]
        const names = new Set([...ones.keys(), ...others.keys()])
        const differing = [...names].filter((name) => ones.get(name) !== others.get(name))
        expect(diffSchemas(one, other).map((line) => line.split(':')[0])).toEqual(differing)
      }),
    )
  })

  it('differ in the units of a timestamp, and inside of structs and lists', () => {
    const of = (field: object): Schema => schemaShape.parse({ fields: [{ name: 'x', required: false, ...field }] })
    const inside = (type: string) => of({ type: 'list', items: { type: 'struct', fields: [{ name: 'y', type }] } })
    const unit = (unit: string) => of({ type: 'timestamp', unit })
    expect(diffSchemas(unit('microsecond'), unit('second'))).toEqual([
      'x: the account has timestamp(second) optional, wanted is timestamp(microsecond) optional',
    ])
    expect(diffSchemas(inside('string'), inside('bool'))).toHaveLength(1)
    expect(diffSchemas(inside('string'), inside('string'))).toEqual([])
  })
})

describe('the SQL', () => {
  it('gets the names of the account, but not in comments, texts and longer names', () => {
    const sql = [
      '-- INSERT INTO cdc_events FROM events',
      'insert into cdc_events',
      `SELECT 'it''s FROM events' AS "FROM events", from_events.* FROM events`,
      "WHERE type <> 'x' AND id NOT IN (SELECT id FROM events_seen)",
    ].join('\n')
    expect(nameTables(sql, { sink: 'out', stream: 'in' })).toBe(
      [
        '-- INSERT INTO cdc_events FROM events',
        'insert into out',
        `SELECT 'it''s FROM events' AS "FROM events", from_events.* FROM in`,
        "WHERE type <> 'x' AND id NOT IN (SELECT id FROM events_seen)",
      ].join('\n'),
    )
  })

  it.each(['SELECT * FROM events', 'INSERT INTO cdc_events SELECT 1', '-- INSERT INTO cdc_events FROM events', ''])(
    'is refused if a name has no place in it: "%s"',
    (sql) => {
      expect(() => nameTables(sql, { sink: 'out', stream: 'in' })).toThrow('streams/events.sql must be INSERT INTO')
    },
  )

  it('is the same with other comments, spaces and a semicolon', () => {
    const words = ['INSERT', 'INTO', 's', 'SELECT', "'a  --b'", ',', '"c  d"', 'FROM', 'e']
    const gap = fc.constantFrom(' ', '\n', '\n  ', ' -- why\n', '\r\n\t')
    fc.assert(
      fc.property(fc.array(gap, { minLength: words.length, maxLength: words.length }), (gaps) => {
        const sql = words.map((word, index) => word + gaps[index]).join('')
        expect(diffSQL(sql, words.join(' '))).toEqual([])
        expect(diffSQL(words.join(' '), `${sql};`)).toEqual([])
      }),
    )
  })

  it.each([
    ["SELECT 'a  b'", "SELECT 'a b'"],
    ["SELECT '--a'", "SELECT '--b'"],
    ['SELECT "A"', 'SELECT "a"'],
    ['SELECT a\n, b', 'SELECT a'],
  ])('differs in a text or a word: %s', (one, other) => {
    expect(diffSQL(one, other).length).toBeGreaterThan(0)
  })
})
