import type { Transaction } from 'durable-outbox'
import { describe, expect, it } from 'vitest'
import { drain, failureOf, inNotes } from '../notes.ts'
import type { Notes } from '../worker.ts'

const insert = "INSERT INTO notes (text) VALUES ('one')"
const event = { type: 'Note.written', data: { text: 'one' } }

/** Where the callback throws. */
const THROWS = ['before both', 'after the mutation', 'after the event', 'after both'] as const

function step(tx: Transaction, order: 'mutation first' | 'event first', throwing?: (typeof THROWS)[number]): void {
  if (throwing === 'before both') throw new Error('on purpose')
  if (order === 'mutation first') {
    tx.execute(insert)
    if (throwing === 'after the mutation') throw new Error('on purpose')
    tx.emit(event)
  } else {
    tx.emit(event)
    if (throwing === 'after the event') throw new Error('on purpose')
    tx.execute(insert)
  }
  if (throwing !== undefined) throw new Error('on purpose')
}

async function slowSteps(tx: Transaction): Promise<void> {
  step(tx, 'mutation first')
  await Promise.resolve()
  step(tx, 'mutation first')
}

/** One name for each test, as objects live as long as the file. */
let objects = 0
function freshName(): string {
  return `transaction-${objects++}`
}

async function outcome(name: string): Promise<{ notes: string[]; events: (number | undefined)[] }> {
  const events = (await drain(name)).map((record) => record.lsn)
  return { notes: await inNotes(name, (notes) => notes.notes()), events }
}

type Run = (notes: Notes, callback: (tx: Transaction) => void) => unknown
const ways: Record<string, Run> = {
  transactionSync: (notes, callback) => notes.ctx.transactionSync(callback),
  'transaction with a plain callback': (notes, callback) => notes.ctx.transaction(callback),
  'transaction with an async callback': (notes, callback) =>
    notes.ctx.transaction(async (tx) => {
      await Promise.resolve()
      callback(tx)
      await Promise.resolve()
    }),
}

describe.each(Object.entries(ways))('%s', (_, run) => {
  it('[I1] commits the mutation and its event together', async () => {
    const name = freshName()
    await inNotes(name, (notes) => run(notes, (tx) => step(tx, 'mutation first')))
    expect(await outcome(name)).toEqual({ notes: ['one'], events: [1] })
  })

  it.each(THROWS.flatMap((where) => [['mutation first', where] as const, ['event first', where] as const]))(
    '[I1] leaves neither when the callback throws: %s, %s',
    async (order, where) => {
      const name = freshName()
      const failure = await inNotes(name, (notes) => failureOf(() => run(notes, (tx) => step(tx, order, where))))
      expect(failure.message).toBe('on purpose')
      expect(await outcome(name)).toEqual({ notes: [], events: [] })
    },
  )

  it('[I1] leaves neither when a statement fails', async () => {
    const name = freshName()
    await inNotes(name, (notes) =>
      failureOf(() =>
        run(notes, (tx) => {
          step(tx, 'mutation first')
          tx.execute('INSERT INTO notes (id, text) VALUES (1, ?)', 'taken')
        }),
      ),
    )
    expect(await outcome(name)).toEqual({ notes: [], events: [] })
  })

  it('[I1] leaves neither, and no alarm, when the alarm was set in a transaction that throws', async () => {
    const name = freshName()
    await inNotes(name, async (notes) => {
      await failureOf(() =>
        run(notes, (tx) => {
          void notes.ctx.storage.setAlarm(Date.now() + 60_000)
          step(tx, 'mutation first', 'after both')
        }),
      )
      expect(await notes.ctx.storage.getAlarm()).toBeNull()
    })
    expect(await outcome(name)).toEqual({ notes: [], events: [] })
  })

  it('[I1] is part of the outer transaction, and rolls back with it', async () => {
    const name = freshName()
    await inNotes(name, (notes) =>
      failureOf(() =>
        notes.ctx.transaction(async (tx) => {
          step(tx, 'mutation first')
          await run(notes, (inner) => step(inner, 'event first'))
          throw new Error('on purpose')
        }),
      ),
    )
    expect(await outcome(name)).toEqual({ notes: [], events: [] })
  })

  it('[I1] rolls back only itself if it fails inside an outer one that continues', async () => {
    const name = freshName()
    await inNotes(name, (notes) =>
      notes.ctx.transaction(async (tx) => {
        step(tx, 'mutation first')
        await failureOf(() => run(notes, (inner) => step(inner, 'mutation first', 'after both')))
        step(tx, 'event first')
      }),
    )
    expect(await outcome(name)).toEqual({ notes: ['one', 'one'], events: [1, 2] })
  })

  it('gives nested transactions one txid, and separate ones their own', async () => {
    const name = freshName()
    await inNotes(name, async (notes) => {
      await notes.ctx.transaction(async (tx) => {
        tx.emit(event)
        await run(notes, (inner) => inner.emit(event))
      })
      await run(notes, (tx) => tx.emit(event))
    })
    const [first, second, third] = (await drain(name)).map((record) => record.txid)
    expect(first).toBe(second)
    expect(third).not.toBe(first)
  })

  it('closes its handle at its end', async () => {
    const name = freshName()
    const failures = await inNotes(name, async (notes) => {
      let kept: Transaction | undefined
      await run(notes, (tx) => {
        kept = tx
      })
      return Promise.all([
        failureOf(() => kept?.emit(event)),
        failureOf(() => kept?.emitBatch([event])),
        failureOf(() => kept?.execute(insert)),
        failureOf(() => kept?.db),
      ])
    })
    expect(failures.map(({ code }) => code)).toEqual(Array.from({ length: 4 }, () => 'transaction-ended'))
    expect(await outcome(name)).toEqual({ notes: [], events: [] })
  })
})

describe('transaction', () => {
  it('[I1] isolates two requests that interleave at an await', async () => {
    const name = freshName()
    const gate = Promise.withResolvers<void>()
    const slow = inNotes(name, (notes) =>
      failureOf(() =>
        notes.ctx.transaction(async (tx) => {
          tx.execute("INSERT INTO notes (text) VALUES ('slow')")
          tx.emit({ type: 'Note.slow' })
          await gate.promise
          await notes.ctx.storage.get('anything')
          throw new Error('on purpose')
        }),
      ),
    )
    const quick = inNotes(name, (notes) =>
      notes.ctx.transactionSync((tx) => {
        tx.execute("INSERT INTO notes (text) VALUES ('quick')")
        tx.emit({ type: 'Note.quick' })
      }),
    )
    gate.resolve()
    await Promise.all([slow, quick])
    expect((await drain(name)).map(({ type, lsn }) => [type, lsn])).toEqual([['Note.quick', 1]])
    expect(await inNotes(name, (notes) => notes.notes())).toEqual(['quick'])
  })

  it('[I1] runs transactions one after the other if one request starts them together', async () => {
    const name = freshName()
    await inNotes(name, (notes) =>
      Promise.allSettled(
        [0, 1, 2, 3].map((n) =>
          notes.ctx.transaction(async (tx) => {
            tx.execute('INSERT INTO notes (text) VALUES (?)', `${n}`)
            await Promise.resolve()
            tx.emit({ type: 'Note.written', data: { n } })
            if (n === 1) throw new Error('on purpose')
          }),
        ),
      ),
    )
    const records = await drain(name)
    expect(records.map(({ data, lsn }) => [data, lsn])).toEqual([
      [{ n: 0 }, 1],
      [{ n: 2 }, 2],
      [{ n: 3 }, 3],
    ])
    expect(new Set(records.map((record) => record.txid)).size).toBe(3)
    expect(await inNotes(name, (notes) => notes.notes())).toEqual(['0', '2', '3'])
  })

  it('[I1] runs nested transactions one after the other if they are started together', async () => {
    const name = freshName()
    await inNotes(name, (notes) =>
      notes.ctx.transaction(() =>
        Promise.allSettled(
          [0, 1, 2].map((n) =>
            notes.ctx.transaction(async (tx) => {
              tx.execute('INSERT INTO notes (text) VALUES (?)', `${n}`)
              tx.emit({ type: 'Begun', data: { n } })
              await notes.ctx.storage.get('anything')
              if (n === 1) throw new Error('on purpose')
              tx.emit({ type: 'Ended', data: { n } })
            }),
          ),
        ),
      ),
    )
    expect((await drain(name)).map(({ type, data }) => [type, data?.['n']])).toEqual([
      ['Begun', 0],
      ['Ended', 0],
      ['Begun', 2],
      ['Ended', 2],
    ])
    expect(await inNotes(name, (notes) => notes.notes())).toEqual(['0', '2'])
  })

  it('[I1] refuses to commit before a nested one that was not awaited, and works afterwards', async () => {
    const name = freshName()
    const [outer, inner] = await inNotes(name, async (notes) => {
      const hasBegun = Promise.withResolvers<void>()
      let floating: Promise<{ code?: string }> | undefined
      const failure = await failureOf(() =>
        notes.ctx.transaction(async (tx) => {
          step(tx, 'mutation first')
          floating = failureOf(() =>
            notes.ctx.transaction(async (nested) => {
              step(nested, 'mutation first')
              hasBegun.resolve()
              await notes.ctx.storage.get('anything')
              await new Promise((resolve) => setTimeout(resolve, 1))
              nested.emit(event)
            }),
          )
          await hasBegun.promise
        }),
      )
      return [failure.code, (await floating)?.code]
    })
    expect([outer, inner]).toEqual(['transaction-nested', 'transaction-nested'])
    expect(await outcome(name)).toEqual({ notes: [], events: [] })
    await inNotes(name, (notes) => notes.ctx.transactionSync((tx) => step(tx, 'mutation first')))
    expect(await outcome(name)).toEqual({ notes: ['one'], events: [1] })
  })

  it('refuses to start inside transactionSync, where it would not be atomic', async () => {
    const name = freshName()
    const failure = await inNotes(
      name,
      (notes) =>
        notes.ctx.transactionSync(() => ({ later: failureOf(() => notes.ctx.transaction((tx) => tx.emit(event))) }))
          .later,
    )
    expect(failure.code).toBe('transaction-nested')
    expect(await outcome(name)).toEqual({ notes: [], events: [] })
  })
})

describe('transactionSync', () => {
  it('[I1] refuses an async callback at run time, and rolls back what it did', async () => {
    const name = freshName()
    // oxlint-disable-next-line typescript/no-misused-promises -- forced past the compiler and the linter
    const failure = await inNotes(name, (notes) => failureOf(() => notes.ctx.transactionSync<void>(slowSteps)))
    expect(failure.code).toBe('async-callback')
    expect(await outcome(name)).toEqual({ notes: [], events: [] })
  })

  it('does not compile with an async callback', async () => {
    const name = freshName()
    const failure = await inNotes(name, (notes) =>
      failureOf(() => {
        // @ts-expect-error a callback that returns a promise is not atomic here
        void notes.ctx.transactionSync(slowSteps)
      }),
    )
    expect(failure.code).toBe('async-callback')
  })

  it('[I1] rolls back with an outer transaction of the platform, and leaves no gap', async () => {
    const name = freshName()
    await inNotes(name, async (notes) => {
      await failureOf(() =>
        notes.ctx.storage.transactionSync(() => {
          notes.ctx.transactionSync((tx) => step(tx, 'mutation first'))
          throw new Error('on purpose')
        }),
      )
      expect(await notes.ctx.storage.getAlarm()).toBeNull()
      notes.ctx.transactionSync((tx) => step(tx, 'mutation first'))
    })
    expect(await outcome(name)).toEqual({ notes: ['one'], events: [1] })
  })
})

describe('a rollback inside a transaction that continues', () => {
  it.each<[string, Run]>([
    [
      "of the platform's transactionSync",
      (notes, callback) => notes.ctx.storage.transactionSync(() => notes.ctx.transactionSync(callback)),
    ],
    [
      "of the platform's transaction",
      (notes, callback) => notes.ctx.storage.transaction(async () => notes.ctx.transactionSync(callback)),
    ],
    [
      "of drizzle's transaction",
      (notes, callback) =>
        notes.ctx.transactionSync((tx) => tx.db.transaction(() => notes.ctx.transactionSync(callback))),
    ],
  ])('[I1] discards the events of what it undoes: %s', async (_, run) => {
    const name = freshName()
    await inNotes(name, (notes) =>
      notes.ctx.transaction(async (tx) => {
        step(tx, 'mutation first')
        await failureOf(() =>
          run(notes, (inner) => {
            step(inner, 'mutation first')
            throw new Error('on purpose')
          }),
        )
        await failureOf(async () => {
          await run(notes, (inner) => step(inner, 'mutation first'))
          throw new Error('after the inner one has ended well')
        })
      }),
    )
    expect(await outcome(name)).toEqual({ notes: ['one', 'one'], events: [1, 2] })
  })

  it('[I1] discards the events of an inner transaction that had ended well', async () => {
    const name = freshName()
    await inNotes(name, (notes) =>
      notes.ctx.transaction(async (tx) => {
        step(tx, 'mutation first')
        await failureOf(() =>
          notes.ctx.storage.transactionSync(() => {
            notes.ctx.transactionSync((inner) => step(inner, 'mutation first'))
            throw new Error('on purpose')
          }),
        )
        await notes.ctx.storage.transaction(async (txn) => {
          notes.ctx.transactionSync((inner) => step(inner, 'mutation first'))
          txn.rollback()
        })
      }),
    )
    expect(await outcome(name)).toEqual({ notes: ['one'], events: [1] })
  })
})

describe('attribution', () => {
  it('applies to all events inside that have no such fields, including those of stores', async () => {
    const name = freshName()
    await inNotes(name, (notes) =>
      notes.ctx.transaction(
        async (tx) => {
          notes.drafts.create({ text: 'one' })
          tx.emit({ type: 'Own', actor: 'User/alice' })
          notes.ctx.transactionSync((inner) => inner.emit({ type: 'Inner' }), { actor: 'Agent/bot' })
          tx.emit({ type: 'After' })
        },
        { actor: 'User/nathan', correlationId: 'req_1' },
      ),
    )
    await inNotes(name, (notes) => notes.ctx.transactionSync((tx) => tx.emit({ type: 'Later' })))
    expect((await drain(name)).map(({ type, actor, correlation_id }) => [type, actor, correlation_id])).toEqual([
      ['cdc.insert', 'User/nathan', 'req_1'],
      ['Own', 'User/alice', 'req_1'],
      ['Inner', 'Agent/bot', 'req_1'],
      ['After', 'User/nathan', 'req_1'],
      ['Later', undefined, undefined],
    ])
  })
})

describe('tx.execute', () => {
  it.each([
    ['a boolean', true],
    ['a Date', new Date(0)],
    ['a bigint', 1n],
    ['undefined', undefined],
    ['NaN', Number.NaN],
    ['an integer above 2^53', 2 ** 60],
  ])('refuses to bind %s, which SQLite would store as something else', async (_, value) => {
    const failure = await inNotes(freshName(), (notes) =>
      failureOf(() => notes.ctx.transactionSync((tx) => tx.execute('INSERT INTO notes (text) VALUES (?)', value))),
    )
    expect(failure.code).toBe('invalid-argument')
    expect(failure.message).toContain('parameter 1')
  })

  it('returns all rows of a write, so that unread rows cannot make the commit fail', async () => {
    const rows = await inNotes(freshName(), (notes) =>
      notes.ctx.transactionSync((tx) => tx.execute("INSERT INTO notes (text) VALUES ('a'), ('b') RETURNING id, text")),
    )
    expect(rows).toEqual([
      { id: 1, text: 'a' },
      { id: 2, text: 'b' },
    ])
  })
})
