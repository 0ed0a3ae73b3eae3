import { cloudflareTest } from '@cloudflare/vitest-pool-workers'
import { defineConfig } from 'vitest/config'

const ACCOUNT_TESTS = ['test/cli/{provision,provision-lake,provision-commands}.node.test.ts']

export default defineConfig({
  test: {
    // Output is printed only for tests that fail.
    silent: 'passed-only',
    // More than there are cores: tests of the command wait for other processes.
    maxWorkers: 4,
    projects: [
      {
        plugins: [cloudflareTest({ wrangler: { configPath: './test/wrangler.toml' } })],
        resolve: { tsconfigPaths: true },
        test: {
          name: 'workerd',
          include: ['test/**/*.test.ts'],
          exclude: ['test/**/*.node.test.ts', 'test/{model,neighbours,simulate}/**', 'test/lake/shards/**'],
          // One runtime for many files: to import the library anew for each took longer than the tests themselves.
          isolate: false,
          setupFiles: ['test/one-proxy.ts', 'test/setup.ts'],
          testTimeout: 60_000,
        },
      },
      {
        // Each file in a runtime of its own: these tests abort all objects, and a lake of the file before would be in another layout.
        plugins: [cloudflareTest({ wrangler: { configPath: './test/wrangler.toml' } })],
        resolve: { tsconfigPaths: true },
        test: {
          name: 'shards',
          include: ['test/lake/shards/**/*.test.ts'],
          setupFiles: ['test/one-proxy.ts', 'test/setup.ts'],
          testTimeout: 60_000,
        },
      },
      {
        // With packages that use the object's alarm and storage beside the library, in the versions of package.json.
        plugins: [cloudflareTest({ wrangler: { configPath: './test/neighbours/wrangler.toml' } })],
        resolve: { tsconfigPaths: true },
        test: {
          name: 'neighbours',
          include: ['test/neighbours/**/*.test.ts'],
          setupFiles: ['test/one-proxy.ts'],
          testTimeout: 60_000,
        },
      },
      {
        // The platform that `npm run simulate` runs on, against the real one: part of `npm run model`.
        plugins: [cloudflareTest({ wrangler: { configPath: './test/wrangler.toml' } })],
        resolve: { tsconfigPaths: true },
        test: {
          name: 'simulate',
          include: ['test/simulate/manners.test.ts'],
          globalSetup: ['test/simulate/set-up.ts'],
          setupFiles: ['test/one-proxy.ts'],
          testTimeout: 120_000,
        },
      },
      {
        // New random scripts each time: `npm run model`, not part of `npm test`.
        plugins: [cloudflareTest({ wrangler: { configPath: './test/wrangler.toml' } })],
        resolve: { tsconfigPaths: true },
        test: {
          name: 'model',
          include: ['test/model/**/*.test.ts'],
          setupFiles: ['test/one-proxy.ts'],
          testTimeout: 600_000,
        },
      },
      {
        // The real wrangler against an account that is a stand-in: `npm run account`, not part of `npm test`, because each of the
        // hundred and fifty times that wrangler starts takes a second.
        resolve: { tsconfigPaths: true },
        test: {
          name: 'account',
          include: ACCOUNT_TESTS,
          isolate: false,
          unstubEnvs: true,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        resolve: { tsconfigPaths: true },
        test: {
          name: 'node',
          include: ['test/**/*.node.test.ts'],
          exclude: ACCOUNT_TESTS,
          // workerd has `Uint8Array.fromHex` and its like already.
          execArgv: ['--js-base-64'],
          // As above: to import wrangler takes a second.
          isolate: false,
          unstubEnvs: true,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
})
