// The tests that `npm run mutate` runs for each mutant: those of modules that are pure, in Node, in milliseconds.

import { defineConfig } from 'vitest/config'

export default defineConfig({
  resolve: { tsconfigPaths: true },
  test: {
    include: ['test/{due,relay/*,outbox/*,lake/*,lake/intake/*,lake/table/*,lake/iceberg/*}.node.test.ts'],
    // What these test is not mutated.
    exclude: ['test/lake/iceberg/{avro,avro-read,manifest-read,parquet}.node.test.ts'],
  },
})
