import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'

export const products = sqliteTable('products', {
  id: text('id').primaryKey(),
  title: text('title').notNull(),
  cents: integer('cents').notNull(),
  pieces: integer('pieces').notNull(),
})

export const migrations = [
  'CREATE TABLE products (id TEXT PRIMARY KEY, title TEXT NOT NULL, cents INTEGER NOT NULL, pieces INTEGER NOT NULL)',
]
