// The first document's "Exactly-Once Delivery", as it is printed there; only the import path is ours.

import { env } from 'cloudflare:workers'
import { runInDurableObject } from 'cloudflare:test'
import { sql } from 'drizzle-orm'
import { ExactlyOnceContext } from 'durable-outbox'
import { describe, expect, it } from 'vitest'
import { acceptedRecords } from 'durable-outbox/testing'
import { failureOf } from '../notes.ts'
import type { Plain } from '../worker.ts'

const customer = { name: 'Alice', email: 'alice@example.com' }

function inObject<T>(name: string, run: (db: DurableObjectState) => Promise<T>): Promise<T> {
  return runInDurableObject<Plain, T>(env.PLAIN.getByName(name), (_, db) => {
    db.storage.sql.exec('CREATE TABLE IF NOT EXISTS customers (id TEXT PRIMARY KEY, name TEXT, email TEXT)')
    return run(db)
  })
}

function customers(db: DurableObjectState): unknown[] {
  return db.storage.sql.exec('SELECT name FROM customers').toArray()
}

const expected = { op: 'c', store: 'document', table: 'Customer', key: 'cust_123', after: customer, type: 'cdc.insert' }

describe('the snippet of the first document', () => {
  it('[I1] commits the mutation and the event with an async callback', async () => {
    await inObject('seed-async', async (db) => {
      const ctx = new ExactlyOnceContext(db)

      await ctx.transaction(async (tx) => {
        // Store mutation
        await tx.execute(sql`INSERT INTO customers VALUES (${'cust_123'}, ${customer.name}, ${customer.email})`)

        // CDC event (part of same transaction)
        await tx.emit({
          op: 'c',
          store: 'document',
          table: 'Customer',
          key: 'cust_123',
          after: customer,
        })
      })
      // Both succeed or both fail

      expect(customers(db)).toEqual([{ name: 'Alice' }])
      await ctx.alarm()
    })
    expect(acceptedRecords('seed-async')).toMatchObject([expected])
  })

  it('[I1] commits the mutation and the event with a plain callback', async () => {
    await inObject('seed-sync', async (db) => {
      const ctx = new ExactlyOnceContext(db)
      await ctx.transaction((tx) => {
        tx.execute(sql`INSERT INTO customers VALUES (${'cust_123'}, ${customer.name}, ${customer.email})`)
        tx.emit({ op: 'c', store: 'document', table: 'Customer', key: 'cust_123', after: customer })
      })
      expect(customers(db)).toEqual([{ name: 'Alice' }])
      await ctx.alarm()
    })
    expect(acceptedRecords('seed-sync')).toMatchObject([expected])
  })

  it('[I1] commits neither if it fails', async () => {
    await inObject('seed-fails', async (db) => {
      const ctx = new ExactlyOnceContext(db)
      await failureOf(() =>
        ctx.transaction(async (tx) => {
          await tx.execute(sql`INSERT INTO customers VALUES ('cust_123', 'Alice', NULL)`)
          await tx.emit({ op: 'c', store: 'document', table: 'Customer', key: 'cust_123', after: customer })
          await tx.execute(sql`INSERT INTO customers VALUES ('cust_123', 'Bob', NULL)`)
        }),
      )
      expect(customers(db)).toEqual([])
      await ctx.alarm()
    })
    expect(acceptedRecords('seed-fails')).toEqual([])
  })
})
