import { env } from 'cloudflare:workers'
import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { CommittedEvent } from 'durable-outbox'
import { failureOf } from '../notes.ts'
import { foldRows } from '../stores/fold.ts'
import { configurations, type Stores } from '../worker.ts'

function inObject<T>(name: string, run: (object: Stores, sql: SqlStorage) => T | Promise<T>): Promise<T> {
  return runInDurableObject<Stores, T>(env.STORES.getByName(name), (object) => run(object, object.ctx.storage.sql))
}

/** A captured table of users. */
function withUsers<T>(name: string, run: (object: Stores, sql: SqlStorage) => T | Promise<T>): Promise<T> {
  return inObject(name, (object, sql) => {
    sql.exec('CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY, name TEXT, age)')
    object.ctx.capture('users')
    return run(object, sql)
  })
}

function events(object: Stores): Partial<CommittedEvent>[] {
  return object.outbox.list({ limit: 1_000 }).items
}

/** What a change says, in short. */
function changes(object: Stores): unknown[][] {
  return events(object).map(({ op, key, before, after }) => [op, key, before ?? null, after ?? null])
}

describe('a captured table', () => {
  it('[I1] emits an event for every row that plain SQL writes', async () => {
    await withUsers('plain', (object, sql) => {
      sql.exec("INSERT INTO users VALUES (1, 'Alice', 30), (2, 'Bob', NULL)")
      sql.exec("UPDATE users SET name = 'Carol' WHERE id = 2")
      sql.exec('DELETE FROM users')
      expect(changes(object)).toEqual([
        ['c', '1', null, { id: 1, name: 'Alice', age: 30 }],
        ['c', '2', null, { id: 2, name: 'Bob', age: null }],
        ['u', '2', { id: 2, name: 'Bob', age: null }, { id: 2, name: 'Carol', age: null }],
        ['d', '1', { id: 1, name: 'Alice', age: 30 }, null],
        ['d', '2', { id: 2, name: 'Carol', age: null }, null],
      ])
    })
  })

  it('[I2] gives its events the shape, ids and LSNs of emitted ones', async () => {
    await withUsers('shape', (object, sql) => {
      object.ctx.transactionSync((tx) => {
        sql.exec("INSERT INTO users VALUES (1, 'Alice', 30)")
        tx.emit({ type: 'User.created' })
      })
      sql.exec("INSERT INTO users VALUES (2, 'Bob', 30)")
      const [captured, emitted, alone] = events(object)
      expect([captured?.lsn, emitted?.lsn, alone?.lsn]).toEqual([1, 2, 3])
      expect(captured).toMatchObject({ type: 'cdc.insert', op: 'c', store: 'relational', table: 'users', key: '1' })
      expect(captured?.id).toMatch(/^[0-7][0-9A-HJKMNP-TV-Z]{25}$/)
      expect(captured?.txid).toBe(emitted?.txid)
      expect(alone?.txid).not.toBe(emitted?.txid)
      expect(captured?._meta).toEqual(emitted?._meta)
    })
  })

  it('[I1] emits what upserts, INSERT OR REPLACE and cascades do', async () => {
    await withUsers('indirect', (object, sql) => {
      sql.exec('CREATE TABLE posts (id INTEGER PRIMARY KEY, author INTEGER REFERENCES users (id) ON DELETE CASCADE)')
      object.ctx.capture('posts')
      sql.exec("INSERT INTO users VALUES (1, 'Alice', 30)")
      sql.exec("INSERT INTO users VALUES (1, 'x', 1) ON CONFLICT DO UPDATE SET name = 'Ann'")
      sql.exec("INSERT OR REPLACE INTO users VALUES (1, 'Zoe', 9)")
      sql.exec('INSERT INTO posts VALUES (7, 1)')
      sql.exec('DELETE FROM users')
      expect(changes(object)).toEqual([
        ['c', '1', null, { id: 1, name: 'Alice', age: 30 }],
        ['u', '1', { id: 1, name: 'Alice', age: 30 }, { id: 1, name: 'Ann', age: 30 }],
        ['d', '1', { id: 1, name: 'Ann', age: 30 }, null],
        ['c', '1', null, { id: 1, name: 'Zoe', age: 9 }],
        ['c', '7', null, { id: 7, author: 1 }],
        ['d', '7', { id: 7, author: 1 }, null],
        ['d', '1', { id: 1, name: 'Zoe', age: 9 }, null],
      ])
    })
  })

  it('captures a cascade from a table that is not captured itself', async () => {
    await inObject('cascade', async (object, sql) => {
      sql.exec('CREATE TABLE users (id INTEGER PRIMARY KEY)')
      sql.exec('CREATE TABLE posts (id INTEGER PRIMARY KEY, author INTEGER REFERENCES users (id) ON DELETE CASCADE)')
      object.ctx.capture('posts')
      sql.exec('INSERT INTO users VALUES (1)')
      sql.exec('INSERT INTO posts VALUES (7, 1)')
      await Promise.resolve()
      sql.exec('DELETE FROM users')
      const [inserted, deleted] = events(object)
      expect([inserted?.op, deleted?.op]).toEqual(['c', 'd'])
      expect(deleted?.txid).not.toBe(inserted?.txid)
    })
  })

  it('emits nothing for an update that changes nothing', async () => {
    await withUsers('no-op', (object, sql) => {
      sql.exec("INSERT INTO users VALUES (1, 'Alice', 30)")
      sql.exec("UPDATE users SET name = 'Alice', age = 30")
      expect(events(object)).toHaveLength(1)
    })
  })

  it('emits a deletion and a creation for a row that takes another key', async () => {
    await withUsers('rekey', (object, sql) => {
      sql.exec("INSERT INTO users VALUES (1, 'Alice', 30)")
      sql.exec('UPDATE users SET id = 2')
      expect(events(object).map(({ op, key }) => [op, key])).toEqual([
        ['c', '1'],
        ['d', '1'],
        ['c', '2'],
      ])
    })
  })

  it('[I1] leaves no event of what is rolled back, and no gap', async () => {
    await withUsers('rollback', async (object, sql) => {
      sql.exec("INSERT INTO users VALUES (1, 'Alice', 30)")
      await failureOf(() =>
        object.ctx.transactionSync(() => {
          sql.exec('DELETE FROM users')
          throw new Error('on purpose')
        }),
      )
      await failureOf(() => sql.exec("INSERT INTO users VALUES (2, 'x', 1), (1, 'taken', 1)"))
      sql.exec("UPDATE users SET name = 'Ann'")
      expect(events(object).map(({ op, lsn }) => [op, lsn])).toEqual([
        ['c', 1],
        ['u', 2],
      ])
    })
  })

  it('gives one txid to a transaction of ours, of the platform, or to the statements alone up to an await', async () => {
    await withUsers('txids', async (object, sql) => {
      const insert = (id: number): void => void sql.exec('INSERT INTO users (id) VALUES (?)', id)
      object.ctx.transactionSync((tx) => {
        insert(1)
        object.ctx.transactionSync(() => insert(2))
        tx.emit({ type: 'Done' })
      })
      object.ctx.storage.transactionSync(() => {
        insert(3)
        insert(4)
      })
      await object.ctx.transaction(async () => {
        insert(5)
        await Promise.resolve()
        insert(6)
      })
      sql.exec('INSERT INTO users (id) VALUES (7), (8)')
      insert(9)
      object.ctx.transactionSync(() => insert(10))
      insert(11)
      await Promise.resolve()
      insert(12)
      const txids = events(object).map(({ txid }) => txid)
      expect(txids.map((txid) => txids.indexOf(txid))).toEqual([0, 0, 0, 3, 3, 5, 5, 7, 7, 7, 10, 11, 12])
    })
  })

  it('notes the transaction again after a part of it was rolled back', async () => {
    await withUsers('partial', async (object, sql) => {
      sql.exec('INSERT INTO users (id) VALUES (1)')
      object.ctx.transactionSync(() => {
        try {
          object.ctx.transactionSync(() => {
            sql.exec('INSERT INTO users (id) VALUES (2)')
            throw new Error('on purpose')
          })
        } catch {
          // Only the inner part is undone.
        }
        sql.exec('INSERT INTO users (id) VALUES (3)')
        sql.exec('INSERT INTO users (id) VALUES (4)')
      })
      const [before, third, fourth] = events(object)
      expect(third?.txid).toBe(fourth?.txid)
      expect(third?.txid).not.toBe(before?.txid)
    })
  })

  it('says who did it', async () => {
    await withUsers('actor', (object, sql) => {
      const insert = (id: number): void => void sql.exec('INSERT INTO users (id) VALUES (?)', id)
      object.ctx.transactionSync(
        () => {
          insert(1)
          object.ctx.transactionSync(() => insert(2), { actor: 'User/"q"' })
          insert(3)
        },
        { actor: 'User/nathan', correlationId: 'req-1' },
      )
      expect(events(object).map(({ actor, correlationId }) => [actor, correlationId])).toEqual([
        ['User/nathan', 'req-1'],
        ['User/"q"', 'req-1'],
        ['User/nathan', 'req-1'],
      ])
    })
  })

  it('refuses a doer that no event can name, and writes nothing', async () => {
    await withUsers('bad-actor', async (object, sql) => {
      for (const actor of ['', 'a\0b', 'x'.repeat(1_025)]) {
        const failure = await failureOf(() =>
          object.ctx.transactionSync(() => void sql.exec('INSERT INTO users (id) VALUES (1)'), { actor }),
        )
        expect(failure).toMatchObject({ code: 'event-invalid', message: expect.stringContaining('actor') })
      }
      expect(events(object)).toEqual([])
    })
  })

  it('[I6] has an alarm due for what plain SQL wrote', async () => {
    await withUsers('alarm', async (object, sql) => {
      expect(await object.ctx.storage.getAlarm()).toBeNull()
      sql.exec('DELETE FROM users')
      expect(await object.ctx.storage.getAlarm()).toBeNull()
      sql.exec('INSERT INTO users (id) VALUES (1)')
      expect(await object.ctx.storage.getAlarm()).not.toBeNull()
      expect(object.outbox.stats()).toMatchObject({ pendingEvents: 1 })
    })
  })

  it('[I6] goes on where the code that captured it is gone', async () => {
    await withUsers('orphaned', () => undefined)
    await evictDurableObject(env.STORES.getByName('orphaned'))
    await inObject('orphaned', async (object, sql) => {
      sql.exec('INSERT INTO users (id) VALUES (1)')
      await Promise.resolve()
      sql.exec('INSERT INTO users (id) VALUES (2)')
      const [first, second] = events(object)
      expect(first?.txid).not.toBe(second?.txid)
      expect(await object.ctx.storage.getAlarm()).not.toBeNull()
    })
  })

  it('[I7] refuses writes where too many events wait, and loses nothing', async () => {
    configurations.set('full-capture', { maxBacklogEvents: 100 })
    await withUsers('full-capture', (object, sql) => {
      let refused = 0
      for (let id = 1; id <= 300; id++) {
        try {
          sql.exec('INSERT INTO users (id) VALUES (?)', id)
        } catch (error) {
          refused += 1
          expect(error).toMatchObject({ code: 'outbox-full', retryable: true })
        }
      }
      const written = sql.exec<{ count: number }>('SELECT count(*) AS count FROM users').one().count
      expect(refused).toBeGreaterThan(100)
      expect(object.outbox.stats().pendingEvents).toBe(written)
    })
  })

  it('changes no value silently', async () => {
    await inObject('values', (object, sql) => {
      sql.exec('CREATE TABLE t (id TEXT PRIMARY KEY, a, b BLOB) WITHOUT ROWID')
      object.ctx.capture('t')
      sql.exec("INSERT INTO t VALUES ('int', 9007199254740993, -9223372036854775807 - 1)")
      sql.exec("INSERT INTO t VALUES ('real', 9e999, -0.5)")
      sql.exec("INSERT INTO t VALUES ('blob', x'00FF10', x'')")
      sql.exec('INSERT INTO t VALUES (\'json\', \'{"$hex":"00"}\', ?)', 'é "quoted" \\ \n')
      sql.exec("UPDATE t SET a = 1, b = x'01' WHERE id = 'blob'")
      expect(events(object).map(({ before, after }) => [before ?? null, after])).toEqual([
        [null, { id: 'int', a: '9007199254740993', b: '-9223372036854775808' }],
        [null, { id: 'real', a: 'Inf', b: -0.5 }],
        [null, { id: 'blob', a: 'AP8Q', b: '' }],
        [null, { id: 'json', a: '{"$hex":"00"}', b: 'é "quoted" \\ \n' }],
        [
          { id: 'blob', a: 'AP8Q', b: '' },
          { id: 'blob', a: 1, b: 'AQ==' },
        ],
      ])
    })
  })

  it('refuses what no event can carry, and writes nothing', async () => {
    await withUsers('refused', async (object, sql) => {
      const large = await failureOf(() => sql.exec('INSERT INTO users VALUES (1, ?, 1)', 'x'.repeat(1_100_000)))
      expect(large).toMatchObject({ code: 'event-too-large' })
      sql.exec('CREATE TABLE named (name TEXT PRIMARY KEY)')
      object.ctx.capture('named')
      const long = await failureOf(() => sql.exec('INSERT INTO named VALUES (?)', 'x'.repeat(1_025)))
      expect(long).toMatchObject({ code: 'event-invalid', message: expect.stringContaining('1024 characters') })
      expect(events(object)).toEqual([])
      expect(sql.exec('SELECT * FROM users').toArray()).toEqual([])
    })
  })

  it('follows tables with composite keys, without a key, and with awkward names', async () => {
    await inObject('keys', (object, sql) => {
      sql.exec('CREATE TABLE pair (a TEXT, b INTEGER, c, PRIMARY KEY (b, a)) WITHOUT ROWID')
      sql.exec('CREATE TABLE keyless (a)')
      sql.exec(`CREATE TABLE "it's a ""table""" ("the 'id'" INTEGER PRIMARY KEY, "select" TEXT)`)
      for (const name of ['pair', 'keyless', `it's a "table"`]) object.ctx.capture(name)
      sql.exec("INSERT INTO pair VALUES ('x', 1, NULL)")
      sql.exec("INSERT INTO keyless VALUES ('x'), ('y')")
      sql.exec(`INSERT INTO "it's a ""table""" VALUES (1, 'x')`)
      expect(events(object).map(({ table, key, after }) => [table, key, after])).toEqual([
        ['pair', '[1,"x"]', { a: 'x', b: 1, c: null }],
        ['keyless', '1', { a: 'x' }],
        ['keyless', '2', { a: 'y' }],
        [`it's a "table"`, '1', { "the 'id'": 1, select: 'x' }],
      ])
    })
  })

  it('captures tables of 100 columns', async () => {
    await inObject('wide', (object, sql) => {
      const columns = Array.from({ length: 99 }, (_, index) => `c${index}`)
      sql.exec(`CREATE TABLE wide (id INTEGER PRIMARY KEY, ${columns.join(', ')})`)
      object.ctx.capture('wide')
      sql.exec('INSERT INTO wide (id, c0, c98) VALUES (1, 2, 3)')
      sql.exec('UPDATE wide SET c98 = 4')
      const [, updated] = events(object)
      expect(Object.keys(updated?.after ?? {})).toEqual(['id', ...columns])
      expect(updated).toMatchObject({ before: { c0: 2, c98: 3 }, after: { c0: 2, c98: 4 } })
    })
  })

  it('shows only the columns that it may, and redacts', async () => {
    await inObject('personal', (object, sql) => {
      sql.exec('CREATE TABLE people (id INTEGER PRIMARY KEY, name, email, password)')
      object.ctx.capture('people', { exclude: ['password'], redact: { name: 'mask', email: 'length' } })
      sql.exec("INSERT INTO people VALUES (1, 'Alice', 'alice@example.com', 'secret')")
      sql.exec("UPDATE people SET password = 'other'")
      sql.exec("UPDATE people SET name = NULL, email = 'a@b.c'")
      expect(changes(object)).toEqual([
        ['c', '1', null, { id: 1, name: '***', email: 17 }],
        ['u', '1', { id: 1, name: '***', email: 17 }, { id: 1, name: null, email: 5 }],
      ])
      expect(JSON.stringify(sql.exec('SELECT events FROM _cdc_outbox').toArray())).not.toMatch(/secret|Alice/)
    })
  })

  it.each([
    ['missing', {}, 'not-found', /create it first/],
    ['sqlite_master', {}, 'invalid-argument', /not a table of yours/],
    ['_cdc_outbox', {}, 'invalid-argument', /not a table of yours/],
    ['view', {}, 'invalid-argument', /view/],
    ['users', { columns: ['nome'] }, 'invalid-argument', /no column nome; it has id, name, age/],
    ['users', { redact: { name: 'length); DROP TABLE users' } }, 'invalid-argument', /function of one argument/],
    ['users', { redact: { name: 'no_such' } }, 'invalid-argument', /no_such/],
    ['users', { columns: ['id'], exclude: ['name'] }, 'invalid-argument', /one of them/],
  ])('refuses to capture %s with %o', async (table, options, code, message) => {
    await inObject('refuses', async (object, sql) => {
      sql.exec('CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY, name TEXT, age)')
      sql.exec('CREATE VIEW IF NOT EXISTS view AS SELECT 1')
      const failure = await failureOf(() => object.ctx.capture(table, options))
      expect(failure).toMatchObject({ code, message: expect.stringMatching(message) })
    })
  })

  it('follows ALTER TABLE at once, and says whether it is live', async () => {
    await withUsers('alter', (object, sql) => {
      sql.exec("INSERT INTO users VALUES (1, 'Alice', 30)")
      sql.exec('ALTER TABLE users ADD COLUMN email TEXT')
      sql.exec('ALTER TABLE users RENAME COLUMN name TO title')
      sql.exec('ALTER TABLE users DROP COLUMN age')
      sql.exec("UPDATE users SET email = 'a@b.c'")
      expect(events(object).at(-1)?.after).toEqual({ id: 1, title: 'Alice', email: 'a@b.c' })
      expect(object.outbox.stats().captured).toEqual({ users: 'live' })
      sql.exec('DROP TRIGGER _cdc_users_update')
      expect(object.outbox.stats().captured).toEqual({ users: 'live' })
      sql.exec('DROP TABLE users')
      expect(object.outbox.stats().captured).toEqual({ users: 'there is no such table' })
      sql.exec('CREATE TABLE users (id INTEGER PRIMARY KEY, nick TEXT)')
      sql.exec("INSERT INTO users VALUES (1, 'Al')")
      expect(events(object).at(-1)?.after).toEqual({ id: 1, nick: 'Al' })
    })
  })

  it('follows a column that was added while it was not looking, when the object wakes', async () => {
    await withUsers('asleep', (object) => {
      const { sql } = object.ctx.storage
      Object.getPrototypeOf(sql).exec.call(sql, 'ALTER TABLE users ADD COLUMN email TEXT')
      expect(object.outbox.stats().captured).toEqual({ users: 'the trigger _cdc_users_insert is out of date' })
    })
    await evictDurableObject(env.STORES.getByName('asleep'))
    await withUsers('asleep', (object, sql) => {
      expect(object.outbox.stats().captured).toEqual({ users: 'live' })
      sql.exec("INSERT INTO users (id, email) VALUES (1, 'a@b.c')")
      expect(events(object).at(-1)?.after).toMatchObject({ email: 'a@b.c' })
    })
  })

  it('shows the values of a drizzle table as drizzle means them', async () => {
    const tasks = sqliteTable('tasks', {
      id: integer('id').primaryKey(),
      isDone: integer('is_done', { mode: 'boolean' }),
      due: integer('due', { mode: 'timestamp' }),
      seen: integer('seen', { mode: 'timestamp_ms' }),
      tags: text('tags', { mode: 'json' }),
    })
    await inObject('drizzle', (object, sql) => {
      sql.exec('CREATE TABLE tasks (id INTEGER PRIMARY KEY, is_done INTEGER, due INTEGER, seen INTEGER, tags TEXT)')
      object.ctx.capture(tasks)
      object.ctx.transactionSync(({ db }) => {
        const due = new Date('2026-11-22T08:00:00Z')
        const seen = new Date('1969-12-31T23:59:59.001Z')
        db.insert(tasks)
          .values({ id: 1, isDone: true, due, seen, tags: ['a', { b: 1 }] })
          .run()
        db.update(tasks).set({ isDone: false, tags: null }).run()
      })
      const row = { id: 1, due: '2026-11-22T08:00:00.000Z', seen: '1969-12-31T23:59:59.001Z' }
      const before = { ...row, is_done: true, tags: ['a', { b: 1 }] }
      expect(changes(object)).toEqual([
        ['c', '1', null, before],
        ['u', '1', before, { ...row, is_done: false, tags: null }],
      ])
    })
  })

  it('costs a row for the event, and one more for its transaction', async () => {
    await withUsers('billed', (object, sql) => {
      object.ctx.transactionSync(() => {
        expect(sql.exec('INSERT INTO users (id) VALUES (1)').rowsWritten).toBe(2)
        expect(sql.exec('INSERT INTO users (id) VALUES (2), (3)').rowsWritten).toBe(4)
      })
    })
  })

  it('[I1] [I2] emits a log from which the table can be rebuilt, whatever is done to it', async () => {
    const value = fc.oneof(
      fc.integer(),
      fc.string({ unit: 'binary' }).filter((characters) => !characters.includes('\0') && characters.isWellFormed()),
      fc.constant(null),
      // Beyond these, SQLite itself writes some numbers with a wrong last digit.
      fc
        .double({ min: -1e15, max: 1e15, noNaN: true })
        .filter((number) => Object.is(number, 0) || Math.abs(number) > 1e-15),
    )
    const statement = fc.record({
      query: fc.constantFrom(
        'INSERT OR IGNORE INTO users VALUES (?1, ?2, ?3)',
        'INSERT OR REPLACE INTO users VALUES (?1, ?2, ?3)',
        'INSERT INTO users VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET name = ?3, age = ?2',
        'UPDATE OR REPLACE users SET id = id + 1, name = ?2, age = ?3 WHERE id = ?1',
        'UPDATE users SET name = ?2 WHERE id > ?1 OR age IS ?3',
        'DELETE FROM users WHERE id >= ?1 AND (?2 IS ?2 OR ?3)',
      ),
      id: fc.integer({ min: 1, max: 4 }),
      name: value,
      age: value,
    })
    const block = fc.record({
      how: fc.constantFrom('alone' as const, 'together' as const, 'undone' as const),
      statements: fc.array(statement, { maxLength: 4 }),
    })
    let runs = 0
    await fc.assert(
      fc.asyncProperty(fc.array(block, { maxLength: 6 }), async (blocks) => {
        await withUsers(`fold-${runs++}`, (object, sql) => {
          for (const { how, statements } of blocks) {
            const run = (): void => {
              for (const { query, id, name, age } of statements) sql.exec(query, id, name, age)
            }
            if (how === 'alone') run()
            if (how === 'together') object.ctx.transactionSync(run)
            if (how === 'undone') undo(object, run)
          }
          const { items } = object.outbox.list({ limit: 1_000 })
          expect(items.map(({ lsn }) => lsn)).toEqual(items.map((_, index) => index + 1))
          const rows = sql.exec('SELECT * FROM users ORDER BY id').toArray()
          const folded = foldRows(items).get('relational/users') ?? new Map<string, unknown>()
          expect([...folded].toSorted(([a], [b]) => Number(a) - Number(b)).map(([, row]) => row)).toEqual(rows)
        })
      }),
      { numRuns: 60 },
    )
  })
})

function undo(object: Stores, run: () => void): void {
  try {
    object.ctx.transactionSync(() => {
      run()
      throw new Error('on purpose')
    })
  } catch {
    // Nothing of it may be seen.
  }
}
