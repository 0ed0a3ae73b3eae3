import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'

export const products = sqliteTable('products', {
  id: text('id').primaryKey(),
  title: text('title').notNull(),
  cents: integer('cents').notNull(),
  pieces: integer('pieces').notNull(),
})
