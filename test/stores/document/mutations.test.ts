import { DocumentStore } from 'durable-outbox'
import { describe, expect, it } from 'vitest'
import { failureOf } from '../../notes.ts'
import type { Stores } from '../../worker.ts'
import { inFreshObject, logOf, rowsWrittenBy } from '../in-stores.ts'

interface Customer {
  name: string
  address?: { city?: string; zip?: { code: string } } | null
  tags?: string[]
  age?: number
}

function customersOf({ ctx }: Stores): DocumentStore<Customer> {
  return new DocumentStore(ctx, 'Customer')
}

const shared = { store: 'document', table: 'Customer' }

/** The method of each mutation, what it is called with on `{ $id: 'a', name: 'Alice', age: 30 }`, and its event. */
const mutations: [string, (customers: DocumentStore<Customer>) => unknown, object][] = [
  ['create', (customers) => customers.create({ $id: 'b', name: 'Bob' }), { op: 'c', key: 'b', after: { name: 'Bob' } }],
  ['update', (customers) => customers.update('a', { age: 31 }), { op: 'u', key: 'a', after: { age: 31 } }],
  [
    'updateIfVersion',
    (customers) => customers.updateIfVersion('a', { age: 31 }, 1),
    { op: 'u', key: 'a', after: { age: 31 } },
  ],
  [
    'replace',
    (customers) => customers.replace('a', { name: 'Al' }),
    { op: 'u', key: 'a', before: { age: 30 }, after: { name: 'Al', $version: 2 } },
  ],
  [
    'upsert of one there is',
    (customers) => customers.upsert('a', { name: 'Al' }),
    { op: 'u', key: 'a', before: { name: 'Alice' }, after: { name: 'Al', age: 30 } },
  ],
  [
    'upsert of none',
    (customers) => customers.upsert('b', { name: 'Bob' }),
    { op: 'c', key: 'b', after: { name: 'Bob', $version: 1 } },
  ],
  ['delete', (customers) => customers.delete('a'), { op: 'd', key: 'a', before: { name: 'Alice' } }],
  ['deleteIfVersion', (customers) => customers.deleteIfVersion('a', 1), { op: 'd', key: 'a', before: { age: 30 } }],
  [
    'createBatch',
    (customers) => customers.createBatch([{ $id: 'b', name: 'Bob' }]),
    { op: 'c', key: 'b', after: { name: 'Bob' } },
  ],
  [
    'updateBatch',
    (customers) => customers.updateBatch({ name: 'Alice' }, { age: 31 }),
    { op: 'u', key: 'a', before: { age: 30 }, after: { age: 31 } },
  ],
  ['deleteBatch', (customers) => customers.deleteBatch({ age: 30 }), { op: 'd', key: 'a', before: { name: 'Alice' } }],
]

describe('a mutation', () => {
  it.each(mutations)('[I1] emits what it did in its own transaction: %s', async (_, mutate, event) => {
    const log = await inFreshObject((object) => {
      const customers = customersOf(object)
      customers.create({ $id: 'a', name: 'Alice', age: 30 })
      mutate(customers)
      return logOf(object)
    })
    expect(log).toMatchObject([
      { op: 'c', key: 'a' },
      { ...shared, ...event },
    ])
    expect(log[1]?.txid).not.toBe(log[0]?.txid)
    expect('before' in (log[1] ?? {})).toBe(log[1]?.op !== 'c')
    expect('after' in (log[1] ?? {})).toBe(log[1]?.op !== 'd')
  })

  it.each(mutations)(
    '[I1] leaves neither document nor event when its transaction throws later: %s',
    async (_, mutate) => {
      const { left, log } = await inFreshObject(async (object) => {
        const customers = customersOf(object)
        const alice = customers.create({ $id: 'a', name: 'Alice', age: 30 })
        await failureOf(() =>
          object.ctx.transactionSync(() => {
            mutate(customers)
            throw new Error('on purpose')
          }),
        )
        expect(customers.list()).toEqual([alice])
        return { left: customers.count(), log: logOf(object) }
      })
      expect(left).toBe(1)
      expect(log).toHaveLength(1)
    },
  )

  it('is attributed by the transaction around it', async () => {
    const log = await inFreshObject((object) => {
      const customers = customersOf(object)
      customers.create({ $id: 'a', name: 'Alice' })
      object.ctx.transactionSync(
        () => {
          customers.update('a', { age: 1 })
          customers.update('a', { age: 2 }, { correlationId: 'request-2' })
          customers.deleteBatch({})
        },
        { actor: 'User/nathan', correlationId: 'request-1' },
      )
      return logOf(object)
    })
    expect(log.map(({ actor, correlationId }) => [actor, correlationId])).toEqual([
      [undefined, undefined],
      ['User/nathan', 'request-1'],
      ['User/nathan', 'request-2'],
      ['User/nathan', 'request-1'],
    ])
  })

  it('is attributed by the call, in every method', async () => {
    const bob = { actor: 'User/bob', correlationId: 'request-3' }
    const log = await inFreshObject((object) => {
      const customers = customersOf(object)
      customers.create({ $id: 'a', name: 'Alice' }, bob)
      customers.createBatch([{ $id: 'b', name: 'Bob' }], bob)
      customers.upsert('c', { name: 'Carol' }, bob)
      customers.upsert('c', { name: 'Carola' }, bob)
      customers.update('a', { age: 1 }, bob)
      customers.updateIfVersion('a', { age: 2 }, 2, bob)
      customers.updateBatch({ $id: 'a' }, { age: 3 }, bob)
      customers.replace('a', { name: 'Al' }, bob)
      customers.delete('a', bob)
      customers.deleteIfVersion('b', 1, bob)
      customers.deleteBatch({}, bob)
      return logOf(object)
    })
    expect(log).toHaveLength(11)
    for (const event of log) expect(event).toMatchObject(bob)
  })

  it.each<[string, number, (customers: DocumentStore<Customer>) => unknown]>([
    ['create', 2, (customers) => customers.create({ name: 'Bob' })],
    ['update', 2, (customers) => customers.update('a', { name: 'Al' })],
    ['delete', 2, (customers) => customers.delete('a')],
    ['createBatch of three', 4, (customers) => customers.createBatch([{ name: 'B' }, { name: 'C' }, { name: 'D' }])],
    ['update that changes nothing', 0, (customers) => customers.update('a', { name: 'Alice' })],
  ])('writes one row a document and one for the events: %s', async (_, rows, mutate) => {
    const rowsWritten = await inFreshObject((object) => {
      const customers = customersOf(object)
      customers.create({ $id: 'a', name: 'Alice' })
      return rowsWrittenBy(object, () => mutate(customers))
    })
    expect(rowsWritten).toBe(rows)
  })

  it.each<[string, (customers: DocumentStore<Customer>) => unknown]>([
    ['update', (customers) => customers.update('a', { 'address.city': 'Paris', tags: ['x'] })],
    ['update with undefined', (customers) => customers.update('a', { name: undefined, 'address.city': undefined })],
    ['updateIfVersion', (customers) => customers.updateIfVersion('a', {}, 1)],
    ['updateBatch', (customers) => customers.updateBatch({}, { name: 'Alice' })],
    ['replace, whatever the order of fields', replaceInAnotherOrder],
    ['upsert', (customers) => customers.upsert('a', { name: 'Alice' })],
    ['delete of none', (customers) => customers.delete('b')],
    ['deleteIfVersion of another', (customers) => customers.deleteIfVersion('a', 2)],
    ['deleteBatch of none', (customers) => customers.deleteBatch({ name: 'Bob' })],
    ['createBatch of none', (customers) => customers.createBatch([])],
  ])('emits and writes nothing if nothing changes: %s', async (_, mutate) => {
    await inFreshObject((object) => {
      const customers = customersOf(object)
      const alice = customers.create({
        $id: 'a',
        name: 'Alice',
        tags: ['x'],
        address: { zip: { code: '1' }, city: 'Paris' },
      })
      expect(rowsWrittenBy(object, () => mutate(customers))).toBe(0)
      expect(customers.list()).toEqual([alice])
      expect(logOf(object)).toHaveLength(1)
    })
  })
})

function replaceInAnotherOrder(customers: DocumentStore<Customer>): unknown {
  return customers.replace('a', { address: { city: 'Paris', zip: { code: '1' } }, tags: ['x'], name: 'Alice' })
}

describe('update', () => {
  it('sets nested fields, creates those on the way, and keeps the others', async () => {
    const versions = await inFreshObject((object) => {
      const customers = customersOf(object)
      customers.create({ $id: 'a', name: 'Alice', address: null })
      return [
        customers.update('a', { 'address.city': 'Paris', age: 30 }),
        customers.update('a', { 'address.zip.code': '75001' }),
        customers.update('a', { address: { city: 'Rome' } }),
        customers.get('a'),
      ]
    })
    expect(versions).toMatchObject([
      { name: 'Alice', age: 30, address: { city: 'Paris' }, $version: 2 },
      { name: 'Alice', age: 30, address: { city: 'Paris', zip: { code: '75001' } }, $version: 3 },
      { name: 'Alice', age: 30, address: { city: 'Rome' }, $version: 4 },
      { name: 'Alice', age: 30, address: { city: 'Rome' }, $version: 4 },
    ])
    expect(versions[3]?.address).toEqual({ city: 'Rome' })
  })

  it.each<[string, unknown, string]>([
    ['a path into a string', { 'name.first': 'A' }, 'name is a string'],
    ['a path into an array', { 'tags.0': 'A' }, 'tags is an array'],
    ['a field and one inside it', { address: {}, 'address.city': 'Paris' }, 'address.city is inside address,'],
    [
      'the same, deeper',
      { 'address.zip.code': '2', 'address.zip': { code: '1' } },
      'address.zip.code is inside address.zip,',
    ],
    ['a field of the store', { $version: 7 }, 'belongs to the store'],
    ['a path into a field of the store', { '$id.x': 7 }, 'belongs to the store'],
    ['an empty path', { '': 7 }, 'a path is'],
    ['a path with an empty part', { 'address..city': 7 }, 'a path is'],
    ['a path that begins with a dot', { '.city': 7 }, 'a path is'],
    ['too long a path', { ['a'.repeat(1_025)]: 7 }, 'a path is'],
    ['too deep a path', { [Array(65).fill('a').join('.')]: 7 }, 'deeper than'],
    ['a Date', { 'address.city': new Date(0) }, 'is a Date'],
    ['a bigint', { 'address.city': 1n }, 'is a bigint'],
    ['a list', [], 'a plain object'],
    ['null', null, 'a plain object'],
  ])('refuses %s', async (_, changes, problem) => {
    await inFreshObject(async (object) => {
      const customers = customersOf(object)
      const alice = customers.create({ $id: 'a', name: 'Alice', tags: ['x'] })
      for (const attempt of [
        () => customers.update('a', changes as never),
        () => customers.updateBatch({}, changes as never),
        ...(problem.startsWith('is a') ? [() => customers.updateBatch({ name: 'Nobody' }, changes as never)] : []),
        () => customers.updateIfVersion('a', changes as never, 1),
      ])
        expect(await failureOf(attempt)).toMatchObject({
          code: 'invalid-argument',
          message: expect.stringContaining(problem),
        })
      expect(customers.list()).toEqual([alice])
      expect(logOf(object)).toHaveLength(1)
    })
  })

  it('treats the names of properties of every object as names', async () => {
    const updated = await inFreshObject((object) => {
      const customers = new DocumentStore<Record<string, unknown>>(object.ctx, 'Customer')
      customers.create({ $id: 'a', ...(JSON.parse('{ "__proto__": { "admin": true } }') as object) })
      customers.update('a', { 'constructor.prototype.admin': true, ...(JSON.parse('{"__proto__.b": 1}') as object) })
      return JSON.stringify(customers.get('a'))
    })
    expect(updated).toContain('"__proto__":{"admin":true,"b":1}')
    expect(updated).toContain('"constructor":{"prototype":{"admin":true}}')
    expect('admin' in {}).toBe(false)
  })
})

describe('a condition on the version', () => {
  it('lets one of two writers through', async () => {
    await inFreshObject((object) => {
      const customers = customersOf(object)
      const { $version } = customers.create({ $id: 'a', name: 'Alice' })
      expect(customers.updateIfVersion('a', { age: 30 }, $version)).toMatchObject({ age: 30, $version: 2 })
      expect(customers.updateIfVersion('a', { age: 31 }, $version)).toBeUndefined()
      expect(customers.deleteIfVersion('a', $version)).toBe(false)
      expect(customers.get('a')).toMatchObject({ age: 30, $version: 2 })
      expect(customers.deleteIfVersion('a', 2)).toBe(true)
      expect(customers.deleteIfVersion('a', 2)).toBe(false)
      expect(customers.updateIfVersion('a', { age: 31 }, 2)).toBeUndefined()
      expect(logOf(object).map(({ op }) => op)).toEqual(['c', 'u', 'd'])
    })
  })
})

describe('replace', () => {
  it('replaces the fields, and keeps the id and the time of creation', async () => {
    await inFreshObject((object) => {
      const customers = customersOf(object)
      const { $createdAt } = customers.create({ $id: 'a', name: 'Alice', age: 30 })
      const { $updatedAt, ...rest } = customers.replace('a', { name: 'Al' })
      expect(rest).toEqual({ $id: 'a', name: 'Al', $version: 2, $createdAt })
      expect(customers.get('a')).toEqual({ ...rest, $updatedAt })
    })
  })

  it('does not change its argument', async () => {
    await inFreshObject((object) => {
      const customers = customersOf(object)
      customers.create({ $id: 'a', name: 'Alice' })
      const given = Object.freeze({ name: 'Al', age: undefined }) as unknown as Customer
      expect('age' in customers.replace('a', given)).toBe(false)
      expect(Object.keys(given)).toEqual(['name', 'age'])
    })
  })

  it.each<[string, (customers: DocumentStore<Customer>) => unknown]>([
    ['update', (customers) => customers.update('b', { age: 1 })],
    ['replace', (customers) => customers.replace('b', { name: 'Bob' })],
  ])('refuses a missing document: %s', async (_, mutate) => {
    const failure = await inFreshObject((object) => failureOf(() => mutate(customersOf(object))))
    expect(failure).toMatchObject({ code: 'not-found', message: expect.stringMatching(/^Customer\.\w+: .* b$/) })
  })
})

describe('a document', () => {
  const NOT_JSON: [string, object][] = [
    ['a Date', { name: 'A', at: new Date(0) }],
    ['a Map', { name: 'A', at: new Map() }],
    ['a bigint', { name: 'A', age: 1n }],
    ['NaN', { name: 'A', age: Number.NaN }],
    ['Infinity deep inside', { name: 'A', address: { city: [Number.POSITIVE_INFINITY] } }],
    ['a function', { name: () => 'A' }],
    ['bytes', { name: 'A', bytes: new Uint8Array(1) }],
    ['undefined in an array', { name: 'A', tags: [undefined] }],
    ['a hole in an array', { name: 'A', tags: Object.assign([], { 1: 'x' }) }],
    ['half a surrogate pair', { name: '\ud800' }],
    ['half a surrogate pair in a name', { name: 'A', '\ud800': 1 }],
    ['a NUL in a name', { name: 'A', 'a\0': 1 }],
    ['a field of the store', { name: 'A', $version: 1 }],
    ['a dot in a name', { name: 'A', 'address.city': 'Paris' }],
    ['a field without a name', { name: 'A', '': 1 }],
    ['itself inside', selfContaining()],
    [
      'an instance of a class',
      new (class Alice {
        name = 'A'
      })(),
    ],
    ['an empty id', { name: 'A', $id: '' }],
    ['a number for an id', { name: 'A', $id: 7 }],
    ['a NUL in its id', { name: 'A', $id: 'a\0b' }],
    ['too long an id', { name: 'A', $id: 'a'.repeat(1_025) }],
  ]

  it.each(NOT_JSON)('is refused with %s, and nothing is written', async (_, input) => {
    await inFreshObject(async (object) => {
      const customers = customersOf(object)
      const alice = customers.create({ $id: 'alice', name: 'Alice' })
      const { $id: _id, ...fields } = input as { $id?: unknown }
      const attempts: (() => unknown)[] = [
        () => customers.create(input as Customer),
        () => customers.createBatch([{ name: 'Bob' }, input as Customer]),
      ]
      if (!('$id' in input) && Object.getPrototypeOf(input) === Object.prototype)
        attempts.push(
          () => customers.replace('alice', fields as Customer),
          () => customers.upsert('alice', fields as Customer),
          () => customers.upsert('bob', fields as Customer),
        )
      for (const attempt of attempts) expect((await failureOf(attempt)).code).toBe('invalid-argument')
      expect(customers.list()).toEqual([alice])
      expect(logOf(object)).toHaveLength(1)
    })
  })

  it('holds everything that JSON can hold, and returns it', async () => {
    const input = {
      $id: '\u{1F600} it\'s "a" \\ b',
      name: 'NUL \0, tab \t, \u2028, \u{1F600}, C:\\users, "quoted"',
      numbers: [0.1, 1e21, 5e-324, 2 ** 60 + 2 ** 8, Number.MAX_SAFE_INTEGER, -1.7976931348623157e308],
      'a "quoted" \\ field': [[], {}, null, true, { x: [{ y: null }] }],
    }
    await inFreshObject((object) => {
      const anything = new DocumentStore<object>(object.ctx, 'Anything')
      const created = anything.create(input)
      expect(created).toMatchObject(input)
      expect(anything.get(created.$id)).toEqual(created)
      expect(anything.createBatch([{ ...input, $id: 'b' }])).toMatchObject([{ ...input, $id: 'b' }])
      expect(anything.get('b')).toEqual({
        ...created,
        $id: 'b',
        $createdAt: anything.get('b')?.$createdAt,
        $updatedAt: anything.get('b')?.$updatedAt,
      })
      anything.updateBatch({ $id: 'b' }, { name: 'b' })
      expect(anything.get('b')).toMatchObject({ ...input, $id: 'b', name: 'b' })
      expect(logOf(object)[0]?.after).toEqual(created)
    })
  })

  it('may be so large that two of it fit into an event, and no larger', async () => {
    await inFreshObject(async (object) => {
      const customers = customersOf(object)
      const empty = customers.create({ name: '', $id: 'a' })
      // é is two bytes in UTF-8.
      const room = DocumentStore.limits.documentBytes - JSON.stringify(empty).length
      const largest = 'é'.repeat(Math.floor(room / 2))
      customers.create({ name: largest, $id: 'b' })
      customers.update('b', { name: largest.replace('é', 'ab') })
      customers.createBatch([{ name: largest, $id: 'c' }])
      customers.updateBatch({ $id: 'c' }, { name: largest.replace('é', 'ab') })
      for (const attempt of [
        () => customers.create({ name: `${largest}éé`, $id: 'd' }),
        () => customers.update('a', { name: `${largest}éé` }),
        () => customers.createBatch([{ name: `${largest}éé`, $id: 'd' }]),
      ])
        expect(await failureOf(attempt)).toMatchObject({
          code: 'invalid-argument',
          message: expect.stringContaining(`${DocumentStore.limits.documentBytes}`),
        })
      expect(logOf(object)).toHaveLength(5)
    })
  })

  it('gets ids that rise in the order of creation', async () => {
    await inFreshObject((object) => {
      const customers = customersOf(object)
      const ids = [
        customers.create({ name: '0' }),
        ...customers.createBatch(names(100)),
        customers.create({ name: 'x' }),
      ]
      const sorted = ids.map(({ $id }) => $id)
      expect(sorted.toSorted()).toEqual(sorted)
      expect(new Set(sorted).size).toBe(102)
    })
  })
})

function names(count: number): Customer[] {
  return Array.from({ length: count }, (_, index) => ({ name: `${index}` }))
}

function selfContaining(): object {
  const self: Record<string, unknown> = { name: 'A' }
  self['self'] = self
  return self
}
