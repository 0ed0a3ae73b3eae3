// Cases from other tools' bug reports: SQL as people really write it, of which folding the log must give the table.

import { env } from 'cloudflare:workers'
import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import { sqliteTable, text, integer, blob } from 'drizzle-orm/sqlite-core'
import type { CommittedEvent } from 'durable-outbox'
import { describe, expect, it } from 'vitest'
import { failureOf } from '../notes.ts'
import { configurations, type Stores } from '../worker.ts'
import { events, folded } from './log.ts'

function inObject<T>(name: string, run: (object: Stores, sql: SqlStorage) => T | Promise<T>): Promise<T> {
  return runInDurableObject<Stores, T>(env.STORES.getByName(name), (object) => run(object, object.ctx.storage.sql))
}

/** The column `n` of rows, in order. */
function numbersOf(rows: readonly CommittedEvent['after'][]): number[] {
  return rows.map((row) => Number(row?.['n'])).toSorted((a, b) => a - b)
}

function ops(object: Stores): unknown[] {
  return events(object).map(({ op, key }) => [op, key])
}

describe('[I11] values of a captured row', () => {
  it('show what is in a JSON column, whatever it looks like', async () => {
    const table = sqliteTable('t', { id: integer('id').primaryKey(), j: text('j', { mode: 'json' }), b: blob('b') })
    await inObject('json', async (object, sql) => {
      sql.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, j TEXT, b BLOB)')
      object.ctx.capture(table)
      const deep = `${'['.repeat(100)}${']'.repeat(100)}`
      const values = [
        '{"$hex":"not hex"}',
        '{"$hex":"c0ffee","more":1}',
        '{"$json":"1"}',
        deep,
        '{"a":"\\ud83d"}',
        'no JSON',
        '12345678901234567890',
        'null',
      ]
      for (const [index, value] of values.entries()) sql.exec("INSERT INTO t VALUES (?, ?, x'01')", index, value)
      expect(events(object).map(({ after }) => [after?.['j'], after?.['b']])).toEqual(
        [
          { $hex: 'not hex' },
          { $hex: 'c0ffee', more: 1 },
          { $json: '{"$json":"1"}' },
          { $json: deep },
          { $json: '{"a":"\\ud83d"}' },
          { $text: 'no JSON' },
          { $json: '12345678901234567890' },
          null,
        ].map((value) => [value, 'AQ==']),
      )
      expect(await object.outbox.flush()).toMatchObject({ delivered: values.length, deadLetters: 0 })
    })
  })

  it('are exact for every number of six decimals', async () => {
    await inObject('decimals', (object, sql) => {
      sql.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, n REAL)')
      object.ctx.capture('t')
      // Small ones, and others spread over the whole range by a multiplier that has no factor in common with it.
      const millionths = Array.from({ length: 1_000 }, (_, index) =>
        index < 500 ? index - 250 : (index * 982_451_653_007) % 1e15,
      )
      const values = millionths.map((n) => n / 1e6)
      sql.exec('INSERT INTO t (n) SELECT value FROM json_each(?)', JSON.stringify(values))
      const stored = sql.exec<{ n: number }>('SELECT n FROM t ORDER BY id').toArray()
      expect(events(object).map(({ after }) => after?.['n'])).toEqual(stored.map(({ n }) => n))
    })
  })

  it('are exact for every real', async () => {
    await inObject('reals', (object, sql) => {
      sql.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, r REAL)')
      object.ctx.capture('t')
      const reals = [
        0.1 + 0.2,
        5e-324,
        1.7976931348623157e308,
        2.2250738585072014e-308,
        1e23,
        123456789.12345679,
        -1e-7,
        9007199254740992,
      ]
      for (let index = 0; index < 500; index++) {
        const view = new DataView(crypto.getRandomValues(new Uint8Array(8)).buffer)
        if (Number.isFinite(view.getFloat64(0))) reals.push(view.getFloat64(0))
      }
      for (const real of reals) sql.exec('INSERT INTO t (r) VALUES (?)', real)
      expect(events(object).map(({ after }) => after?.['r'])).toEqual(reals)
    })
  })

  it('carry a NUL, the text that spells one, and text that is not UTF-8', async () => {
    await inObject('texts', async (object, sql) => {
      sql.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)')
      object.ctx.capture('t')
      sql.exec(String.raw`INSERT INTO t VALUES (1, 'regex: [\u0000-\u001f]')`)
      sql.exec("INSERT INTO t VALUES (2, 'a' || char(0) || 'b')")
      sql.exec("INSERT INTO t VALUES (3, CAST(x'61ff62' AS TEXT)), (4, CAST(x'eda0bd' AS TEXT)), (5, char(65533))")
      expect(Object.values(folded(object, 't')).map((row) => row?.['a'])).toEqual([
        String.raw`regex: [\u0000-\u001f]`,
        'a\0b',
        { $base64: 'Yf9i' },
        { $base64: '7aC9' },
        '\uFFFD',
      ])
      expect(await object.outbox.flush()).toMatchObject({ delivered: 5 })
    })
  })

  it('let a row go that is too large for an event', async () => {
    await inObject('large', async (object, sql) => {
      sql.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)')
      for (const id of [1, 2]) sql.exec('INSERT INTO t VALUES (?, ?)', id, 'x'.repeat(1_100_000))
      object.ctx.capture('t')
      expect(await failureOf(() => sql.exec('INSERT INTO t SELECT 3, a FROM t'))).toMatchObject({
        code: 'event-too-large',
      })
      sql.exec("UPDATE t SET a = 'small' WHERE id = 1")
      sql.exec('DELETE FROM t WHERE id = 2')
      expect(events(object).map(({ op, key, before, after }) => [op, key, before, after])).toEqual([
        ['u', '1', undefined, { id: 1, a: 'small' }],
        ['d', '2', undefined, undefined],
      ])
    })
  })
})

describe('[I11] an update', () => {
  it('is told if a number stays equal and is no integer any more', async () => {
    await inObject('least integer', (object, sql) => {
      sql.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, n NUMERIC, i INT)')
      object.ctx.capture('t')
      sql.exec('INSERT INTO t VALUES (1, -9223372036854775808, 1)')
      sql.exec('UPDATE t SET n = -9223372036854775808.0')
      sql.exec('UPDATE t SET i = 1.0')
      expect(events(object).map(({ after }) => after?.['n'])).toEqual(['-9223372036854775808', -(2 ** 63)])
    })
  })
})

describe('[I11] names of captured tables', () => {
  it('differ by letters beyond ASCII, as SQLite has it, and not by the case of those in it', async () => {
    await inObject('names', (object, sql) => {
      for (const name of ['Ü', 'ü', 'Plain']) sql.exec(`CREATE TABLE "${name}" (id INTEGER PRIMARY KEY)`)
      for (const name of ['Ü', 'ü', 'plain']) object.ctx.capture(name)
      for (const name of ['Ü', 'ü', 'PLAIN']) sql.exec(`ALTER TABLE "${name}" ADD COLUMN n`)
      for (const [n, name] of ['Ü', 'ü', 'PLAIN'].entries()) sql.exec(`INSERT INTO [${name}] (n) VALUES (?)`, n)
      expect(object.outbox.stats().captured).toEqual({ Ü: 'live', ü: 'live', plain: 'live' })
      expect(events(object).map(({ table, after }) => [table, after?.['n']])).toEqual([
        ['Ü', 0],
        ['ü', 1],
        ['Plain', 2],
      ])
    })
  })
})

describe('[I11] keys of a captured table', () => {
  it.each([
    ['a REAL', ['0.3', '0.1 + 0.2', '1e300', '-2.5']],
    [
      'a',
      [
        '1',
        "'1'",
        "'1.0'",
        '1.5',
        "x'41'",
        "'41'",
        "'X''41'''",
        "''",
        "CAST(x'ff' AS TEXT)",
        "CAST(x'fe' AS TEXT)",
        "'a' || char(0)",
        "'CAST(X'''''",
      ],
    ],
    ['a TEXT', ["'ab'", "'X''41'''", "''", "x'41'", "'41'", "'NULL@1'"]],
    ['a BLOB', ["x''", "x'00'", "x'c0ffee'"]],
  ])('of %s are one to one', async (column, values) => {
    await inObject(`keys ${column}`, (object, sql) => {
      sql.exec(`CREATE TABLE t (${column} PRIMARY KEY, n INTEGER)`)
      object.ctx.capture('t')
      for (const [n, value] of values.entries()) sql.exec(`INSERT INTO t VALUES (${value}, ${n})`)
      expect(numbersOf(Object.values(folded(object, 't')))).toEqual([...values.keys()])
      sql.exec('DELETE FROM t WHERE n % 2')
      expect(Object.values(folded(object, 't'))).toHaveLength(Math.ceil(values.length / 2))
    })
  })

  it('of several columns are one to one, also with reals and NULLs', async () => {
    await inObject('composite', (object, sql) => {
      sql.exec('CREATE TABLE t (a, b, n INTEGER, PRIMARY KEY (a, b))')
      object.ctx.capture('t')
      sql.exec(
        "INSERT INTO t VALUES (0.3, 1, 1), (0.1 + 0.2, 1, 2), ('0.3', 1, 3), (NULL, 1, 4), (NULL, 1, 5), (9e999, 1, 6), ('Inf', 1, 7)",
      )
      expect(Object.keys(folded(object, 't'))).toHaveLength(7)
      sql.exec('DELETE FROM t WHERE n = 4')
      expect(Object.values(folded(object, 't')).map((row) => row?.['n'])).toEqual([1, 2, 3, 5, 6, 7])
    })
  })

  it('are not misled by a column that is named rowid', async () => {
    await inObject('rowid', (object, sql) => {
      sql.exec('CREATE TABLE keyless (rowid TEXT, n INTEGER)')
      object.ctx.capture('keyless')
      sql.exec("INSERT INTO keyless VALUES ('same', 1), ('same', 2)")
      expect(Object.keys(folded(object, 'keyless'))).toEqual(['1', '2'])
    })
  })

  it('are asked for if columns hide the rowid, and must be NOT NULL then', async () => {
    await inObject('hidden rowid', async (object, sql) => {
      const names = 'rowid, oid, _rowid_'
      sql.exec(`CREATE TABLE keyless (${names}); CREATE TABLE nullable (id TEXT PRIMARY KEY, ${names})`)
      sql.exec(`CREATE TABLE t (id TEXT NOT NULL PRIMARY KEY, ${names})`)
      for (const table of ['keyless', 'nullable'])
        expect(await failureOf(() => object.ctx.capture(table))).toMatchObject({ code: 'invalid-argument' })
      object.ctx.capture('t')
      sql.exec("INSERT INTO t (id) VALUES ('a')")
      expect(Object.keys(folded(object, 't'))).toEqual(['a'])
    })
  })

  it('change with every byte, also where the collation sees no difference', async () => {
    await inObject('collation', (object, sql) => {
      sql.exec('CREATE TABLE t (k TEXT COLLATE NOCASE PRIMARY KEY, label TEXT COLLATE RTRIM)')
      object.ctx.capture('t')
      sql.exec("INSERT INTO t VALUES ('ab-1', 'x')")
      sql.exec("UPDATE t SET label = 'x '")
      sql.exec("UPDATE t SET k = 'AB-1'")
      sql.exec("INSERT INTO t VALUES ('ab-1', 'y') ON CONFLICT DO UPDATE SET k = excluded.k")
      expect(ops(object)).toEqual([
        ['c', 'ab-1'],
        ['u', 'ab-1'],
        ['d', 'ab-1'],
        ['c', 'AB-1'],
        ['d', 'AB-1'],
        ['c', 'ab-1'],
      ])
      expect(folded(object, 't')).toEqual({ 'ab-1': { k: 'ab-1', label: 'x ' } })
    })
  })
})

describe('[I11] the last event of a row', () => {
  it.each([
    [
      'writes the row',
      'UPDATE t SET slug = lower(NEW.title) WHERE id = NEW.id',
      { '1': { id: 1, title: 'Hello', slug: 'hello' } },
    ],
    ['takes the row away', 'DELETE FROM t WHERE id = NEW.id', {}],
    ['ends in RAISE(IGNORE)', 'SELECT RAISE(IGNORE)', { '1': { id: 1, title: 'Hello', slug: null } }],
  ])('is the row as it is after a newer trigger of the user that %s', async (what, statement, rows) => {
    const name = `trigger ${what}`
    await inObject(name, (object, sql) => {
      sql.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, title TEXT, slug TEXT)')
      object.ctx.capture('t')
      sql.exec(`CREATE TRIGGER s AFTER INSERT ON t BEGIN ${statement}; END`)
      sql.exec("INSERT INTO t (id, title) VALUES (1, 'Hello')")
      expect(folded(object, 't')).toEqual(rows)
    })
    await evictDurableObject(env.STORES.getByName(name))
    await inObject(name, (object, sql) => {
      object.ctx.capture('t')
      sql.exec("INSERT INTO t (id, title) VALUES (2, 'Hello')")
      expect(Object.keys(folded(object, 't'))).toHaveLength(Object.keys(rows).length * 2)
      expect(object.outbox.stats().captured).toEqual({ t: 'live' })
    })
  })

  it('is the row as it is after a foreign key action that writes it', async () => {
    await inObject('self-reference', (object, sql) => {
      sql.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES t (id) ON UPDATE CASCADE)')
      object.ctx.capture('t')
      sql.exec('INSERT INTO t VALUES (1, 1)')
      sql.exec('UPDATE t SET id = 2')
      expect(folded(object, 't')).toEqual({ '2': { id: 2, parent: 2 } })
    })
  })

  it('is the row as it is after actions of foreign keys to several columns and to one that is unique, also deferred', async () => {
    await inObject('foreign keys', (object, sql) => {
      sql.exec(`CREATE TABLE parents (a, b, code TEXT UNIQUE, PRIMARY KEY (a, b));
        CREATE TABLE pairs (id INTEGER PRIMARY KEY, a DEFAULT 0, b DEFAULT 0,
          FOREIGN KEY (a, b) REFERENCES parents ON UPDATE CASCADE ON DELETE SET DEFAULT);
        CREATE TABLE codes (code TEXT PRIMARY KEY REFERENCES parents (code) ON UPDATE CASCADE ON DELETE CASCADE)`)
      const tables = ['parents', 'pairs', 'codes']
      for (const table of tables) object.ctx.capture(table)
      object.ctx.storage.transactionSync(() => {
        sql.exec('PRAGMA defer_foreign_keys = ON')
        sql.exec(
          "INSERT INTO pairs VALUES (1, 1, 1), (2, 1, 2), (3, 2, 1); INSERT INTO codes VALUES ('x'), ('y'), ('z')",
        )
        sql.exec("INSERT INTO parents VALUES (0, 0, 'zero'), (1, 1, 'x'), (1, 2, 'y'), (2, 1, 'z')")
      })
      sql.exec("UPDATE parents SET a = a + 10, code = code || '!' WHERE a = 1")
      sql.exec('DELETE FROM parents WHERE b = 2')
      sql.exec("INSERT OR REPLACE INTO parents VALUES (2, 2, 'x!'), (0, 0, 'zero')")
      const inOrder = (rows: readonly unknown[]): string[] => rows.map((row) => JSON.stringify(row)).toSorted()
      for (const table of tables) {
        const rows = sql.exec(`SELECT * FROM ${table}`).toArray()
        expect(rows).not.toHaveLength(0)
        expect(inOrder(Object.values(folded(object, table)))).toEqual(inOrder(rows))
      }
    })
  })

  it('is a deletion of what INSERT OR REPLACE replaced, after deleteAll and beside triggers too', async () => {
    await inObject('replace', async (object, sql) => {
      const create = (): void => {
        sql.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, email TEXT UNIQUE)')
      }
      create()
      object.ctx.capture('t')
      await object.ctx.storage.deleteAll()
      create()
      sql.exec("INSERT INTO t VALUES (1, 'a@x')")
      sql.exec("INSERT OR REPLACE INTO t VALUES (2, 'a@x')")
      sql.exec('CREATE TRIGGER n AFTER UPDATE ON t BEGIN UPDATE t SET email = lower(email) WHERE id = NEW.id; END')
      sql.exec("UPDATE t SET email = 'A@X'")
      sql.exec("REPLACE INTO t VALUES (3, 'a@x')")
      expect(folded(object, 't')).toEqual({ '3': { id: 3, email: 'a@x' } })
    })
  })
})

describe('[I11] a row that OR REPLACE takes away is deleted in the log', () => {
  const replaced = {
    'after a BEFORE trigger that writes to another row of the table': {
      schema: `CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE, n INTEGER);
        CREATE TRIGGER g BEFORE INSERT ON t BEGIN UPDATE t SET n = n + 1; END`,
      rows: "INSERT INTO t VALUES (1, 'a', 0), (2, 'b', 0)",
      statement: "INSERT OR REPLACE INTO t VALUES (3, 'a', 0)",
      left: [2, 3],
    },
    'after a BEFORE trigger that has just put it in the way': {
      schema: `CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE);
        CREATE TRIGGER g BEFORE INSERT ON t WHEN NEW.id > 10 BEGIN INSERT INTO t VALUES (NEW.id - 10, NEW.a); END`,
      rows: "INSERT INTO t VALUES (1, 'x')",
      statement: "INSERT OR REPLACE INTO t VALUES (12, 'a')",
      left: [1, 12],
    },
    'by an update, after a BEFORE trigger that writes to the table': {
      schema: `CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE, n INTEGER);
        CREATE TRIGGER g BEFORE UPDATE OF a ON t BEGIN UPDATE t SET n = n + 1 WHERE id <> OLD.id; END`,
      rows: "INSERT INTO t VALUES (1, 'a', 0), (2, 'b', 0), (3, 'c', 0)",
      statement: "UPDATE OR REPLACE t SET a = 'b' WHERE id = 1",
      left: [1, 3],
    },
    'if a foreign key deletes the row that replaces it': {
      schema: `CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE, parent INTEGER REFERENCES t (id) ON DELETE CASCADE)`,
      rows: "INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 1)",
      statement: "UPDATE OR REPLACE t SET a = 'a' WHERE id = 2",
      left: [],
    },
    'after a foreign key has written it, as another row was replaced before': {
      schema: `CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE, b TEXT UNIQUE, parent INTEGER REFERENCES t (id) ON DELETE SET NULL)`,
      rows: "INSERT INTO t VALUES (1, 'a', '1', 2), (2, 'b', '2', 1)",
      statement: "INSERT OR REPLACE INTO t VALUES (3, 'a', '2', NULL)",
      left: [3],
    },
  }
  const fallbacks = {
    'with a default in place of its NULL': "a TEXT NOT NULL DEFAULT 'x' UNIQUE",
    'with a default that is a bare word': 'a TEXT NOT NULL DEFAULT x UNIQUE',
    'with a default from which another column is generated': "a TEXT NOT NULL DEFAULT 'x', g TEXT AS (lower(a)) UNIQUE",
  }
  it('after deleteAll and after a restart, if the unique index is over an expression', async () => {
    const create = 'CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)'
    const statement = "INSERT OR REPLACE INTO t VALUES (1, 'a'), (2, 'A')"
    const isFolded = (object: Stores): void => expect(folded(object, 't')).toEqual({ '2': { id: 2, a: 'A' } })
    await inObject('replaced by an expression', async (object, sql) => {
      sql.exec(create)
      object.ctx.capture('t')
      sql.exec(statement)
      await object.ctx.storage.deleteAll()
      sql.exec(`${create}; CREATE UNIQUE INDEX i ON t (lower(a))`)
      sql.exec(statement)
      isFolded(object)
      sql.exec('DELETE FROM t')
    })
    await evictDurableObject(env.STORES.getByName('replaced by an expression'))
    await inObject('replaced by an expression', (object, sql) => {
      sql.exec(statement)
      isFolded(object)
    })
  })

  it.each(Object.entries(fallbacks))('by a row %s', async (what, columns) => {
    await inObject(`fallback ${what}`, (object, sql) => {
      sql.exec(`CREATE TABLE t (id INTEGER PRIMARY KEY, ${columns})`)
      object.ctx.capture('t', { columns: ['id', 'a'] })
      sql.exec("INSERT INTO t (id, a) VALUES (1, 'x'), (2, 'y'), (3, 'z')")
      sql.exec('INSERT OR REPLACE INTO t (id, a) VALUES (4, NULL)')
      sql.exec('UPDATE OR REPLACE t SET a = NULL WHERE id = 3')
      expect(Object.values(folded(object, 't'))).toEqual([
        { id: 2, a: 'y' },
        { id: 3, a: 'x' },
      ])
    })
  })

  it.each(Object.entries(replaced))('%s', async (when, { schema, rows, statement, left }) => {
    await inObject(`replaced ${when}`, (object, sql) => {
      sql.exec(schema)
      object.ctx.capture('t')
      sql.exec(rows)
      sql.exec(statement)
      const present = sql.exec('SELECT * FROM t').toArray()
      expect(present.map(({ id }) => id)).toEqual(left)
      expect(Object.values(folded(object, 't'))).toEqual(present)
      expect(object.outbox.stats().captured).toEqual({ t: 'live' })
    })
  })

  const actions = { CASCADE: 'DELETE', 'SET NULL': 'UPDATE' }
  const writes = [
    'UPDATE p SET n = n + 1',
    "INSERT OR IGNORE INTO p VALUES (OLD.id + 50, 'c' || OLD.id, 9)",
    'DELETE FROM p WHERE id = 4',
    'UPDATE p SET id = id + 100 WHERE id = 4',
    "INSERT OR REPLACE INTO p VALUES (1, 'back', 7)",
  ]
  it.each(Object.entries(actions))(
    'also if ON DELETE %s fires a trigger of another table that writes to this one',
    async (action, verb) => {
      for (const write of writes)
        for (const statement of [
          "INSERT OR REPLACE INTO p VALUES (2, 'a', 0)",
          "UPDATE OR REPLACE p SET a = 'a' WHERE id = 3",
          "REPLACE INTO p VALUES (1, 'b', 5)",
        ])
          await inObject(`${action} ${write} ${statement}`, (object, sql) => {
            sql.exec(`CREATE TABLE p (id INTEGER PRIMARY KEY, a TEXT UNIQUE, n INTEGER);
              CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER REFERENCES p (id) ON DELETE ${action});
              CREATE TRIGGER g AFTER ${verb} ON c BEGIN ${write}; END`)
            object.ctx.capture('p')
            sql.exec("INSERT INTO p VALUES (1, 'a', 0), (3, 'c', 0), (4, 'd', 0); INSERT INTO c VALUES (1, 1), (2, 3)")
            try {
              sql.exec(statement)
            } catch (error) {
              // SQLite finds that the trigger has put a row back in the way.
              expect(String(error)).toContain('UNIQUE constraint failed: p.id')
            }
            const present = sql.exec('SELECT * FROM p ORDER BY id').toArray()
            expect(Object.values(folded(object, 'p'))).toEqual(expect.arrayContaining(present))
            expect(Object.keys(folded(object, 'p'))).toHaveLength(present.length)
          })
    },
  )
})

describe('[I1] OR ROLLBACK', () => {
  it('ends the object, as the platform has it, and neither rows nor events of what had not committed are left', async () => {
    const left = await inObject('or rollback', async (object, sql) => {
      sql.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE)')
      object.ctx.capture('t')
      sql.exec("INSERT INTO t VALUES (1, 'x')")
      await object.ctx.storage.sync()
      sql.exec("INSERT INTO t VALUES (2, 'y')")
      sql.exec("INSERT OR ROLLBACK INTO t VALUES (3, 'x')")
    }).catch(String)
    expect(left).toMatch(/internal error|no transaction is active|UNIQUE/)
    await inObject('or rollback', (object, sql) => {
      expect(sql.exec('SELECT * FROM t').toArray()).toEqual([{ id: 1, a: 'x' }])
      expect(folded(object, 't')).toEqual({ '1': { id: 1, a: 'x' } })
      sql.exec("INSERT INTO t VALUES (2, 'z')")
      expect(folded(object, 't')).toEqual({ '1': { id: 1, a: 'x' }, '2': { id: 2, a: 'z' } })
    })
  })
})

describe('[I12] the user of a captured table', () => {
  it('has its own triggers fire in the order that they had', async () => {
    await inObject('order', (object, sql) => {
      sql.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE); CREATE TABLE fired (name TEXT)')
      const add = (name: string, verb: string): void => {
        sql.exec(
          `CREATE TRIGGER IF NOT EXISTS main."${name}" ${verb} INSERT ON t BEGIN INSERT INTO fired VALUES ('${name}'); END`,
        )
      }
      const fired = (id: number): unknown[] => {
        sql.exec('DELETE FROM fired')
        sql.exec('INSERT INTO t (id) VALUES (?)', id)
        return sql
          .exec('SELECT name FROM fired ORDER BY rowid')
          .toArray()
          .map((row) => row['name'])
      }
      for (const verb of ['BEFORE', 'AFTER']) for (const name of ['first', 'second']) add(`${verb} ${name}`, verb)
      const order = fired(1)
      object.ctx.capture('t')
      expect(fired(2)).toEqual(order)
      sql.exec('ALTER TABLE t ADD COLUMN b')
      expect(fired(3)).toEqual(order)
      add('newest', 'BEFORE')
      expect(fired(4)).toEqual(['newest', ...order])
    })
  })

  it('sees the rowid and the changes of its own statements', async () => {
    configurations.set('row-functions', { lingerMs: 0 })
    await inObject('row-functions', (object, sql) => {
      sql.exec('CREATE TABLE orders (id INTEGER PRIMARY KEY, who TEXT)')
      sql.exec('CREATE TABLE items (id INTEGER PRIMARY KEY, order_id INTEGER)')
      for (const table of ['orders', 'items']) object.ctx.capture(table)
      sql.exec("INSERT INTO orders VALUES (500, 'x')")
      sql.exec("INSERT INTO orders (who) VALUES ('ann')")
      sql.exec('INSERT INTO items (order_id) VALUES (last_insert_rowid())')
      object.ctx.transactionSync(() => {
        sql.exec("INSERT INTO orders (who) VALUES ('bob')")
        sql.exec('INSERT INTO items (order_id) VALUES (last_insert_rowid())')
      })
      expect(sql.exec('SELECT order_id FROM items').toArray()).toEqual([{ order_id: 501 }, { order_id: 502 }])
      sql.exec("UPDATE orders SET who = 'z'")
      sql.exec('INSERT INTO items (order_id) VALUES (changes())')
      expect(sql.exec('SELECT order_id FROM items ORDER BY id DESC LIMIT 1').one()).toEqual({ order_id: 3 })
      expect(sql.exec('SELECT changes() AS n').one()).toEqual({ n: 1 })
    })
  })

  it('sees the changes of the statement before in a text of several', async () => {
    await inObject('row-functions-in-text', (object, sql) => {
      sql.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)')
      object.ctx.capture('t')
      sql.exec('INSERT INTO t VALUES (1, 0), (2, 0), (3, 0)')
      sql.exec('UPDATE t SET n = 1 WHERE id > 1; INSERT INTO t VALUES (4, changes())')
      expect(sql.exec('SELECT n FROM t WHERE id = 4').one()).toEqual({ n: 2 })
    })
  })

  it('keeps the rowid of its last INSERT over an UPDATE that has the word, or that it says in a text', async () => {
    await inObject('row-functions-replace', (object, sql) => {
      sql.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)')
      object.ctx.capture('t')
      const updates = [
        "UPDATE OR REPLACE t SET a = 'b'",
        "UPDATE t SET a = replace(a, 'b', 'c')",
        "UPDATE t SET a = 'INSERT'",
      ]
      for (const [index, update] of updates.entries()) {
        sql.exec('DELETE FROM t')
        sql.exec("INSERT INTO t VALUES (?, 'a')", 70 + index)
        sql.exec(update)
        expect(sql.exec('SELECT last_insert_rowid() AS id').one()).toEqual({ id: 70 + index })
      }
    })
  })

  it('keeps the rowid of its last INSERT over a text that failed and would have returned rows', async () => {
    await inObject('row-functions-failed-text', (object, sql) => {
      sql.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)')
      object.ctx.capture('t')
      sql.exec("INSERT INTO t VALUES (70, 'a')")
      expect(() => sql.exec("INSERT INTO t VALUES (70, 'b'); UPDATE t SET a = 'c' RETURNING *")).toThrow('UNIQUE')
      expect(sql.exec('SELECT last_insert_rowid() AS id').one()).toEqual({ id: 70 })
    })
  })

  it('sees the rowid of an INSERT before the last statement of a text', async () => {
    await inObject('row-functions-later', (object, sql) => {
      sql.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)')
      object.ctx.capture('t')
      sql.exec("INSERT INTO t VALUES (70, 'a')")
      sql.exec("INSERT INTO t VALUES (71, 'b'); UPDATE t SET a = 'c' WHERE id = 3")
      expect(sql.exec('SELECT last_insert_rowid() AS id').one()).toEqual({ id: 71 })
    })
  })

  it('sees that its last statement changed nothing after a definition', async () => {
    await inObject('row-functions-definition', (object, sql) => {
      sql.exec('CREATE TABLE side (id INTEGER PRIMARY KEY); CREATE TABLE t (id INTEGER PRIMARY KEY)')
      object.ctx.capture('t')
      object.ctx.storage.transactionSync(() => void sql.exec('INSERT INTO t VALUES (1)'))
      sql.exec('DELETE FROM side')
      sql.exec('CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END')
      expect(sql.exec('SELECT changes() AS n').one()).toEqual({ n: 0 })
    })
  })

  it('sees the rowid of a row that a module has inserted for a virtual table', async () => {
    await inObject('row-functions-virtual', (object, sql) => {
      sql.exec('CREATE TABLE t (id INTEGER PRIMARY KEY)')
      object.ctx.capture('t')
      sql.exec('INSERT INTO t VALUES (70)')
      sql.exec('CREATE VIRTUAL TABLE search USING fts5 (v)')
      const rowid = sql.exec('SELECT max(id) AS id FROM search_data').one()['id']
      expect(sql.exec('SELECT last_insert_rowid() AS id').one()).toEqual({ id: rowid })
    })
  })

  it('sees that DROP TABLE has counted the rows of a table that others refer to, and of no other', async () => {
    await inObject('row-functions-drop', (object, sql) => {
      const changes = (): unknown => sql.exec('SELECT changes() AS n').one()['n']
      sql.exec('CREATE TABLE parent (id INTEGER PRIMARY KEY); CREATE TABLE t (id INTEGER PRIMARY KEY)')
      sql.exec('CREATE TABLE child (id INTEGER PRIMARY KEY, parent REFERENCES parent)')
      sql.exec('INSERT INTO parent VALUES (1), (2), (3)')
      object.ctx.capture('t')
      sql.exec('INSERT INTO t VALUES (1)')
      sql.exec('DROP TABLE child')
      expect(changes()).toBe(1)
      sql.exec('CREATE TABLE child (id INTEGER PRIMARY KEY, parent REFERENCES parent)')
      sql.exec('DROP TABLE "parent"')
      expect(changes()).toBe(3)
    })
  })

  it('sees its changes after RETURNING and a definition that failed, in a transaction of the platform', async () => {
    await inObject('row-functions-failed', (object, sql) => {
      sql.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)')
      object.ctx.capture('t')
      object.ctx.storage.transactionSync(() => {
        sql.exec("INSERT INTO t VALUES (1, 'a'), (2, 'a')")
        sql.exec("UPDATE t SET a = 'b' WHERE id = 1 RETURNING *").toArray()
        expect(() => sql.exec('CREATE TABLE t (id)')).toThrow('already exists')
        expect(sql.exec('SELECT changes() AS n').one()).toEqual({ n: 1 })
      })
    })
  })

  it('can drop its table while more events wait than a batch holds', async () => {
    configurations.set('dropped-later', { maxBatchEvents: 1, lingerMs: 0 })
    const stub = env.STORES.getByName('dropped-later')
    await inObject('dropped-later', (object, sql) => {
      sql.exec('CREATE TABLE t (id INTEGER PRIMARY KEY)')
      object.ctx.capture('t')
      for (const id of [1, 2, 3]) sql.exec('INSERT INTO t VALUES (?)', id)
    })
    await runInDurableObject(stub, async (object, state) => {
      await object.outbox.flush()
      object.outbox.list({ limit: 1 })
      expect(() => state.storage.sql.exec('DROP TABLE t')).not.toThrow()
    })
  })

  it('keeps a text that spells a function of SQLite', async () => {
    await inObject('spelled', (object, sql) => {
      sql.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)')
      object.ctx.capture('t')
      sql.exec("INSERT INTO t VALUES (1, 'a')")
      sql.exec("INSERT INTO t VALUES (2, 'changes()') -- last_insert_rowid()")
      expect(sql.exec('SELECT a FROM t WHERE id = 2').one()).toEqual({ a: 'changes()' })
    })
  })

  it.each(['INTEGER PRIMARY KEY', 'TEXT PRIMARY KEY', 'REAL PRIMARY KEY', 'WITHOUT ROWID'])(
    'has no DELETE trigger fired for rows that OR REPLACE replaces, with %s, and the log has their deletion',
    async (key) => {
      await inObject(`replaced ${key}`, (object, sql) => {
        const [type, option] = key === 'WITHOUT ROWID' ? ['INTEGER PRIMARY KEY', key] : [key, '']
        sql.exec(`CREATE TABLE t (id ${type}, email TEXT UNIQUE COLLATE NOCASE, phone TEXT UNIQUE) ${option}`)
        sql.exec('CREATE TABLE audit (id)')
        sql.exec('CREATE TRIGGER audited AFTER DELETE ON t BEGIN INSERT INTO audit VALUES (OLD.id); END')
        object.ctx.capture('t', { columns: ['id', 'email'] })
        sql.exec("INSERT INTO t VALUES (1, 'a', '1'), (2, 'b', '2'), (3, 'c', '3')")
        sql.exec("INSERT OR IGNORE INTO t VALUES (9, 'A', '9')")
        sql.exec("INSERT INTO t VALUES (8, 'B', '8') ON CONFLICT DO UPDATE SET email = 'bb'")
        sql.exec("INSERT OR REPLACE INTO t VALUES (1, 'BB', '7')")
        sql.exec("UPDATE OR REPLACE t SET phone = '7' WHERE phone = '3'")
        expect(sql.exec('SELECT * FROM audit').toArray()).toEqual([])
        const rows = sql.exec('SELECT id, email FROM t').toArray()
        expect(Object.values(folded(object, 't'))).toEqual(rows)
        sql.exec('DELETE FROM t')
        expect(sql.exec('SELECT * FROM audit').toArray()).toHaveLength(rows.length)
        expect(folded(object, 't')).toEqual({})
      })
    },
  )

  it('has no DELETE trigger fired on one table for what is replaced in another, of which only a setting of SQLite tells', async () => {
    await inObject('other blind', (object, sql) => {
      sql.exec('CREATE TABLE blind (id INTEGER PRIMARY KEY, a TEXT); CREATE UNIQUE INDEX i ON blind (lower(a))')
      sql.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE); CREATE TABLE audit (id)')
      sql.exec('CREATE TRIGGER g AFTER DELETE ON t BEGIN INSERT INTO audit VALUES (OLD.id); END')
      for (const table of ['blind', 't']) object.ctx.capture(table)
      for (const table of ['blind', 't']) {
        sql.exec(`INSERT INTO ${table} VALUES (1, 'a')`)
        sql.exec(`INSERT OR REPLACE INTO ${table} VALUES (2, 'a')`)
        expect(Object.keys(folded(object, table))).toEqual(['2'])
      }
      expect(sql.exec('SELECT * FROM audit').toArray()).toEqual([])
    })
  })

  it('has triggers fire themselves, and reads that they do, only if it has said so', async () => {
    await inObject('recursive', (object, sql) => {
      const isOn = (): unknown => sql.exec('PRAGMA recursive_triggers').one()['recursive_triggers']
      sql.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)')
      object.ctx.capture('t')
      sql.exec('INSERT INTO t VALUES (1, 1)')
      expect(isOn()).toBe(0)
      sql.exec('CREATE TRIGGER g AFTER INSERT ON t WHEN NEW.id < 4 BEGIN INSERT INTO t VALUES (NEW.id + 1, 1); END')
      for (const [setting, count] of [
        ['ON', 4],
        ['OFF', 2],
      ] as const) {
        sql.exec(`DELETE FROM t; PRAGMA recursive_triggers = ${setting}`)
        sql.exec('INSERT INTO t VALUES (1, 1)')
        expect(Object.keys(folded(object, 't'))).toHaveLength(count)
        expect(sql.exec('SELECT * FROM t').toArray()).toHaveLength(count)
        expect(isOn()).toBe(setting === 'ON' ? 1 : 0)
        sql.exec("INSERT INTO t SELECT 9, 1 WHERE 'recursive_triggers' <> ''")
        expect(folded(object, 't')).toHaveProperty('9')
      }
    })
  })

  it('keeps the meaning of a trigger that writes to its own table', async () => {
    await inObject('touch', (object, sql) => {
      sql.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, rev INTEGER DEFAULT 0)')
      sql.exec('CREATE TRIGGER touch AFTER UPDATE ON t BEGIN UPDATE t SET rev = rev + 1 WHERE id = NEW.id; END')
      object.ctx.capture('t')
      sql.exec('INSERT INTO t (id, n) VALUES (1, 1)')
      sql.exec('UPDATE t SET n = 2')
      expect(folded(object, 't')).toEqual({ '1': { id: 1, n: 2, rev: 1 } })
    })
  })
})

describe('[I11] capture outlives', () => {
  const create = 'CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, plan TEXT)'

  async function firstLife(name: string): Promise<void> {
    await inObject(name, (object, sql) => {
      sql.exec(create)
      object.ctx.capture('users')
      sql.exec("INSERT INTO users VALUES (1, 'a', NULL), (2, 'b', NULL)")
    })
    await evictDurableObject(env.STORES.getByName(name))
  }

  it('a migration that runs before the call of capture', async () => {
    await firstLife('migration')
    await inObject('migration', (object, sql) => {
      sql.exec('ALTER TABLE users ADD COLUMN initial TEXT; UPDATE users SET initial = substr(name, 1, 1)')
      sql.exec('DELETE FROM users WHERE id = 2')
      object.ctx.capture('users')
      expect(folded(object, 'users')).toEqual({ '1': { id: 1, name: 'a', plan: null, initial: 'a' } })
    })
  })

  it('a table that is rebuilt before the call of capture, and says so', async () => {
    await firstLife('rebuild')
    await inObject('rebuild', (object, sql) => {
      sql.exec('CREATE TABLE __new_users (id INTEGER PRIMARY KEY, name TEXT, plan TEXT)')
      sql.exec('INSERT INTO __new_users SELECT id, upper(name), plan FROM users')
      sql.exec('DROP TABLE users')
      sql.exec('ALTER TABLE __new_users RENAME TO users')
      sql.exec("UPDATE users SET plan = 'free' WHERE id = 1")
      sql.exec('DELETE FROM users WHERE id = 2')
      object.ctx.capture('users')
      expect(events(object).find(({ type }) => type === 'cdc.capture')?.data).toEqual({
        table: 'users',
        change: 'rebuilt',
      })
      expect(folded(object, 'users')).toEqual({ '1': { id: 1, name: 'A', plan: 'free' } })
    })
  })

  it('the call of capture itself, until it is ended', async () => {
    await firstLife('no call')
    await inObject('no call', (object, sql) => {
      sql.exec('CREATE TABLE other (id INTEGER PRIMARY KEY)')
      sql.exec('ALTER TABLE users ADD COLUMN x')
      sql.exec('UPDATE users SET x = 1 WHERE id = 1')
      expect(folded(object, 'users')['1']).toEqual({ id: 1, name: 'a', plan: null, x: 1 })
      object.ctx.uncapture('users')
      sql.exec('UPDATE users SET x = 2')
      expect(events(object).at(-1)).toMatchObject({ type: 'cdc.capture', data: { table: 'users', change: 'ended' } })
      expect(object.outbox.stats().captured).toEqual({})
    })
  })

  it('a new name of the table', async () => {
    await inObject('rename', (object, sql) => {
      sql.exec(create)
      object.ctx.capture('users')
      sql.exec('ALTER TABLE users RENAME TO people')
      sql.exec("INSERT INTO people VALUES (1, 'a', NULL)")
      expect(events(object).map(({ type, table, data }) => [type, table, data])).toEqual([
        ['cdc.capture', undefined, { table: 'people', change: 'renamed', from: 'users' }],
        ['cdc.insert', 'people', undefined],
      ])
      expect(object.outbox.stats().captured).toEqual({ people: 'live' })
    })
  })

  it('triggers that somebody dropped while it was not looking, and says so', async () => {
    await firstLife('dropped')
    await inObject('dropped', (object) => {
      const { sql } = object.ctx.storage
      const exec = (query: string): void => void Object.getPrototypeOf(sql).exec.call(sql, query)
      for (const what of ['insert', 'update', 'rekey', 'delete']) exec(`DROP TRIGGER _cdc_users_${what}`)
      exec("UPDATE users SET plan = 'lost'")
    })
    await evictDurableObject(env.STORES.getByName('dropped'))
    await inObject('dropped', (object) => {
      expect(events(object).at(-1)?.data).toEqual({ table: 'users', change: 'restored' })
      expect(object.outbox.stats().captured).toEqual({ users: 'live' })
    })
  })
})

describe('[I11] a snapshot of a captured table', () => {
  it.each([
    ['REAL', 'k REAL PRIMARY KEY', ['2461371.1234567', '2461371.1234567007', '5e-324', '1e308', '-0.5']],
    ['BLOB', 'k BLOB PRIMARY KEY', ["x''", "x'00'", "x'0001'", "x'ff'"]],
    ['NOCASE', 'k TEXT COLLATE NOCASE PRIMARY KEY', ["'b'", "'A'", "'c'", "''"]],
    ['a typeless key', 'k PRIMARY KEY', ['1', "'1'", "x'31'", '1.5', "'a' || char(0) || 'b'", "CAST(x'ff' AS TEXT)"]],
  ])('has each row once, WITHOUT ROWID and with %s', async (_, column, values) => {
    for (const chunk of [1, 2, 500])
      await inObject(`snapshot ${column} ${chunk}`, async (object, sql) => {
        sql.exec(`CREATE TABLE t (${column} NOT NULL, n INTEGER) WITHOUT ROWID`)
        for (const [n, value] of values.entries()) sql.exec(`INSERT INTO t VALUES (${value}, ${n})`)
        object.ctx.capture('t')
        object.outbox.snapshot('t', { chunk })
        for (let runs = 0; runs < 3; runs++) await object.alarm()
        expect(object.outbox.stats().snapshots).toMatchObject([{ rows: values.length, endedAt: expect.any(String) }])
        expect(numbersOf(events(object).map(({ after }) => after))).toEqual([...values.keys()])
        expect(new Set(events(object).map(({ key }) => key)).size).toBe(values.length)
      })
  })

  it('has each row once, if a column is named rowid', async () => {
    await inObject('snapshot rowid', async (object, sql) => {
      sql.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, rowid TEXT)')
      sql.exec("INSERT INTO t VALUES (1, 'x'), (2, 'x'), (3, 'x'), (4, 'x')")
      object.ctx.capture('t')
      object.outbox.snapshot('t', { chunk: 2 })
      for (let runs = 0; runs < 3; runs++) await object.alarm()
      expect(Object.keys(folded(object, 't'))).toEqual(['1', '2', '3', '4'])
    })
  })
})
