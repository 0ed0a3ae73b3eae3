import { defineConfig } from 'drizzle-kit'

export default defineConfig({
  dialect: 'sqlite',
  schema: './src/outbox/schema.ts',
  out: './migrations',
})
