import { mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { importOptional } from '../../src/cli/command.ts'
import { isAtLeast } from '../../src/cli/duckdb.ts'
import { commands } from '../../src/cli/main.ts'
import { EVENTS_COLUMNS } from '../../src/lake/table/table.ts'
import { createProject, runIn } from './lake-fixture.ts'

let project: Awaited<ReturnType<typeof createProject>>

beforeAll(async () => {
  project = await createProject()
})

afterAll(() => project.remove())

describe('durable-outbox', () => {
  it('lists every command in its help', async () => {
    const { code, stdout, stderr } = await runIn(project.root, ['--help'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    for (const { name, summary } of commands) expect(stdout).toMatch(new RegExp(`^  ${name} +${summary}$`, 'm'))
  })

  it('prints the help of one command', async () => {
    for (const args of [
      ['help', 'query'],
      ['query', '--help'],
      ['query', 'SELECT 1', '-h'],
    ])
      expect(await runIn(project.root, args)).toMatchObject({
        code: 0,
        stdout: expect.stringContaining('--state <dir>'),
      })
  })

  it('has a help with short lines and an example for each command', async () => {
    expect(commands.flatMap(({ help }) => help.split('\n')).filter((line) => line.length > 100)).toEqual([])
    for (const { help } of commands) expect(help).toMatch(/^Usage: durable-outbox [^]*\nExample: .*\n$/)
  })

  it('prints its help to stderr and fails if it is given nothing', async () => {
    expect(await runIn(project.root, [])).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining('Usage'),
    })
  })

  it.each([
    { args: ['qurey', 'SELECT 1'], error: 'durable-outbox: unknown command qurey; the commands are: query' },
    { args: ['--verbose'], error: 'durable-outbox: unknown option --verbose' },
    {
      args: ['query', 'SELECT 1', '--jsn'],
      error: "durable-outbox query: Unknown option '--jsn'; see durable-outbox query --help",
    },
    { args: ['query', 'SELECT 1', '--state'], error: "query: Option '--state <value>' argument missing" },
    { args: ['query', '--remote'], error: 'query: give it SQL' },
    { args: ['query', 'SELECT', '1'], error: 'query: one text of SQL was expected, 2 given' },
    { args: ['query', 'SELECT 1', '--json', '--csv'], error: '--json and --csv exclude each other' },
    { args: ['query', 'SELECT 1', '--config', 'nowhere.toml'], error: '--config nowhere.toml does not exist' },
    { args: ['query', ' ; '], error: 'query: the SQL has no statement in it' },
    { args: ['query', '-- only a comment\n/* and\nanother */'], error: 'query: the SQL has no statement in it' },
  ])('exits with 2 on $args', async ({ args, error }) => {
    const run = await runIn(project.root, args)
    expect(run).toMatchObject({ code: 2, stdout: '' })
    expect(run.stderr).toContain(error)
  })

  it('exits with the code of the command as a program of its own', async () => {
    const main = join(import.meta.dirname, '../../src/cli/bin.ts')
    const failure = promisify(execFile)(process.execPath, [main, 'qurey'], { cwd: project.root })
    await expect(failure).rejects.toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining('unknown command'),
    })
  })
})

describe('durable-outbox query without a table', () => {
  it('has events with its columns and no rows', async () => {
    const run = await runIn(project.root, ['query', 'DESCRIBE cdc.events', '--json'])
    expect(run.stderr).toBe('no table yet in .wrangler/state; start wrangler dev and commit an event first\n')
    const columns: { column_name: string; column_type: string }[] = JSON.parse(run.stdout)
    expect(columns.map((column) => column.column_name)).toEqual(EVENTS_COLUMNS.map((column) => column.name))
    expect(columns.map((column) => column.column_type)).toEqual(
      EVENTS_COLUMNS.map(
        ({ type }) => ({ string: 'VARCHAR', long: 'BIGINT', timestamptz: 'TIMESTAMP WITH TIME ZONE' })[type],
      ),
    )
  })

  it('answers with no rows in every form', async () => {
    const sql = 'SELECT id, lsn FROM events WHERE DATE(timestamp) = CURRENT_DATE'
    expect((await runIn(project.root, ['query', sql, '--json'])).stdout).toBe('[]\n')
    expect((await runIn(project.root, ['query', sql, '--csv'])).stdout).toBe('id,lsn\r\n')
    expect((await runIn(project.root, ['query', sql])).stdout).toMatch(/│ id │ lsn │\n.*\n0 rows\n$/)
  })

  it('refuses a --state that is none, which would have an empty table', async () => {
    const run = await runIn(project.root, [
      'query',
      'SELECT count(*) AS n FROM events',
      '--json',
      '--state',
      'elsewhere',
    ])
    expect(run).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining(
        '--state elsewhere is not a state directory of wrangler dev: it has no folder v3',
      ),
    })
  })

  it('reports that there is no wrangler configuration, of any kind', async () => {
    const run = await runIn(await mkdtemp(join(tmpdir(), 'no-config-')), ['query', 'SELECT 1'])
    expect(run).toMatchObject({ code: 1, stdout: '' })
    expect(run.stderr).toMatch(/no wrangler\.json, wrangler\.jsonc or wrangler\.toml in .*; name it with --config/)
  })
})

describe('durable-outbox query with SQL that fails', () => {
  it.each([
    ['SELEC 1', 'Parser Error'],
    ['SELECT * FROM evnts', 'Table with name evnts does not exist'],
    ['SELECT nothing FROM events', 'Referenced column "nothing" not found'],
    ["SELECT CAST('x' AS INTEGER)", 'Could not convert string'],
  ])('shows what DuckDB reports about %s', async (sql, error) => {
    const run = await runIn(project.root, ['query', sql, '--json'])
    expect(run).toMatchObject({ code: 1, stdout: '' })
    expect(run.stderr).toContain(error)
    expect(run.stderr).not.toMatch(/^\s+at /m)
  })

  it('runs several statements in order and prints the last', async () => {
    const sql = 'CREATE TABLE t AS SELECT 20 AS n; INSERT INTO t VALUES (22); SELECT sum(n) AS n FROM t;'
    expect(JSON.parse((await runIn(project.root, ['query', sql, '--json'])).stdout)).toEqual([{ n: 42 }])
  })

  it('accepts SQL that begins with a comment', async () => {
    for (const sql of ['-- a comment\nSELECT 1 AS n', '--a comment\nSELECT 1 AS n'])
      expect(JSON.parse((await runIn(project.root, ['query', '--json', sql])).stdout)).toEqual([{ n: 1 }])
  })
})

describe('a missing package', () => {
  /** Makes one package look as if it were not installed. */
  const without = (name: string) =>
    `data:text/javascript,${encodeURIComponent(`
    import { registerHooks } from 'node:module'
    registerHooks({
      resolve(specifier, context, next) {
        if (specifier !== '${name}') return next(specifier, context)
        throw Object.assign(new Error('Cannot find package'), { code: 'ERR_MODULE_NOT_FOUND' })
      },
    })`)}`

  it.each([
    { args: ['query', 'SELECT 1'], name: '@duckdb/node-api' },
    { args: ['state', 'document/Customer'], name: '@duckdb/node-api' },
    { args: ['verify'], name: '@duckdb/node-api' },
    { args: ['verify', '--url', 'http://127.0.0.1:9'], name: '@duckdb/node-api' },
    { args: ['reconcile', '--url', 'http://127.0.0.1:9'], name: '@duckdb/node-api' },
    { args: ['reconcile', '--url', 'http://127.0.0.1:9'], name: 'wrangler' },
  ])('is reported by $args.0 before it does anything: $name', async ({ args, name }) => {
    const bin = join(import.meta.dirname, '../../src/cli/bin.ts')
    const running = promisify(execFile)(process.execPath, ['--import', without(name), bin, ...args], {
      cwd: project.root,
    })
    // Nothing else was noted before: neither where the table lies, nor that the server does not answer.
    await expect(running).rejects.toMatchObject({
      code: 1,
      stdout: '',
      stderr: `durable-outbox ${args[0]}: the package ${name} is not installed; npm install -D ${name}\n`,
    })
  })
})

describe('the version of DuckDB', () => {
  it.each([
    ['v1.5.0', true],
    ['v1.5.6', true],
    ['1.10.0', true],
    ['v2.0.0', true],
    ['v1.4.9', false],
    ['0.10.3', false],
  ])('%s is new enough: %s', (version, isEnough) => {
    expect(isAtLeast(version, '1.5')).toBe(isEnough)
  })
})

describe('importOptional', () => {
  it('names the command that installs a missing package', async () => {
    const missing = Object.assign(new Error("Cannot find package 'x'"), { code: 'ERR_MODULE_NOT_FOUND' })
    const load = () => Promise.reject(missing)
    await expect(importOptional('x', load)).rejects.toMatchObject({
      code: 'not-found',
      message: 'the package x is not installed; npm install -D x',
    })
  })

  it('shows why a package does not load', async () => {
    const broken = new Error('invalid ELF header')
    const load = () => Promise.reject(broken)
    await expect(importOptional('x', load)).rejects.toThrow('the package x does not load (invalid ELF header)')
  })
})

describe('durable-outbox query with a wrong configuration', () => {
  it.each([
    ['without the bucket', 'name = "x"\ncompatibility_date = "2026-08-01"\n', 'binds no R2 bucket as LAKE_BUCKET'],
    ['that is not TOML', 'name = = "x"', 'cannot be read'],
  ])('explains a file %s', async (_, toml, error) => {
    const { root, remove } = await createProject()
    await writeFile(join(root, 'wrangler.toml'), toml)
    await mkdir(join(root, '.wrangler/state/v3'), { recursive: true })
    expect(await runIn(root, ['query', 'SELECT 1'])).toMatchObject({ code: 1, stderr: expect.stringContaining(error) })
    await remove()
  })
})
