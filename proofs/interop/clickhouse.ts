// ClickHouse, as the npm package chdb in interop/node_modules: 543 MB that only this comparison needs. It runs in a child
// process, because it reads no files outside the directory that its process was started in.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as z from 'zod'
import { run } from '../harness/process-group.ts'
import { type Answers, answersShape, type Question } from './check.ts'
import type { CatalogAddress } from './lake.ts'

const INSTALL_MS_MAX = 600_000
const QUERIES_MS_MAX = 60_000

const here = import.meta.dirname
/** Installs ClickHouse if it is missing, and checks that it runs on this machine. */
export async function installClickHouse(): Promise<void> {
  if ((await installedVersion()) !== (await pinnedVersion())) {
    console.error('interop: installing ClickHouse (npm install in proofs/interop), once, 543 MB on disk')
    console.error(await run({ command: 'npm', args: ['install'], cwd: here, maxMs: INSTALL_MS_MAX }))
  }
  await runStatements(["SELECT 'ready'"], here).catch((error: unknown) => {
    const machine = `${process.platform}-${process.arch}`
    throw new Error(
      `interop: ClickHouse does not run here; chdb has binaries for Linux with glibc and macOS, on x64 and arm64, and ` +
        `this is ${machine}. If it is one of those, remove proofs/interop/node_modules and proofs/interop/package-lock.json, which ` +
        'may list only the machine that it was made on, and try again',
      { cause: error },
    )
  })
}

/** Asks ClickHouse about a table in a local directory, which must be inside `directory`. */
export function askLocally(directory: string, location: string, questions: readonly Question[]): Promise<Answers> {
  return runStatements(
    questions.map((question) => statementOf(question, `icebergLocal('${location}')`)),
    directory,
  )
}

/** Asks ClickHouse about the table of a catalog. */
export function askThroughCatalog(
  { catalog, files, accessKeyId, token }: CatalogAddress,
  questions: readonly Question[],
): Promise<Answers> {
  // It repeats the bucket's name in the address that the catalog vends, so it gets address and key from here.
  const attach = `SET allow_database_iceberg = 1;
    CREATE DATABASE IF NOT EXISTS lake ENGINE = DataLakeCatalog('${catalog}/v1', '${accessKeyId}', '${token}')
    SETTINGS catalog_type = 'rest', warehouse = 'lake', auth_header = 'Authorization: Bearer ${token}',
      vended_credentials = false, storage_endpoint = '${files}';`
  return runStatements(
    questions.map((question) => attach + statementOf(question, 'lake.`cdc.events`')),
    here,
  )
}

function statementOf({ sql, snapshot }: Question, table: string): string {
  const settings = snapshot === undefined ? '' : ` SETTINGS iceberg_snapshot_id = ${snapshot}`
  return sql.replaceAll(/\bevents\b/g, table) + settings
}

/**
 * Runs the statements one after the other, in a directory outside of which it reads no files.
 *
 * @returns the rows of each, or its error as text.
 */
async function runStatements(statements: readonly string[], directory: string): Promise<Answers> {
  const answer = await run({
    command: process.execPath,
    args: [fileURLToPath(import.meta.resolve('./clickhouse-child.ts'))],
    cwd: directory,
    input: JSON.stringify(statements),
    maxMs: QUERIES_MS_MAX,
  })
  return answersShape.parse(JSON.parse(answer))
}

async function installedVersion(): Promise<string | undefined> {
  const text = await readFile(join(here, 'node_modules/chdb/package.json'), 'utf8').catch(() => undefined)
  return text === undefined ? undefined : z.object({ version: z.string() }).parse(JSON.parse(text)).version
}

async function pinnedVersion(): Promise<string> {
  const shape = z.object({ dependencies: z.object({ chdb: z.string() }) })
  return shape.parse(JSON.parse(await readFile(join(here, 'package.json'), 'utf8'))).dependencies.chdb
}
