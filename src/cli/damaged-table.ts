// A table of which the bucket holds all files, and an engine can't read one: the file is named.

import { rm } from 'node:fs/promises'
import { CDCError, messageOf } from '../error.ts'
import { loadDuckDB, type Parameters, type QueryResult, runSQL, type TableFiles } from './duckdb.ts'

/** Decodes each column of each row. */
const EVERY_VALUE = 'SELECT count(hash(event)) FROM cdc.events AS event'

/** What an engine says about a file that it can't read, as opposed to SQL that is wrong. */
const ABOUT_FILES = /^(?:IO|Invalid|Invalid Input|INTERNAL|Serialization|Out of Memory) Error|parquet|zstd|TProtocol/i

/**
 * Runs a query over a table.
 *
 * @throws {CDCError} `table-damaged`, naming the file, if the engine can't read one; or what the query throws.
 */
export async function overTable<Result>(table: TableFiles, query: () => Promise<Result>): Promise<Result> {
  try {
    return await query()
  } catch (error) {
    if (ABOUT_FILES.test(messageOf(error))) await nameDamaged(table)
    throw error
  }
}

/** The same for SQL that is run once. */
export function runOnTable(table: TableFiles, sql: string, parameters: Parameters = {}): Promise<QueryResult> {
  return overTable(table, async () => runSQL(await loadDuckDB(), table, sql, parameters))
}

/**
 * Reads the files of the table through to the end: one can be there with the right size and hold nothing readable.
 *
 * @throws {CDCError} `table-damaged`, naming the first such file.
 */
export async function readContents(table: TableFiles): Promise<void> {
  if ((await problemIn(table)) !== undefined) await nameDamaged(table)
}

async function nameDamaged({ columns, files, keys }: TableFiles): Promise<void> {
  for (const [index, file] of files.entries()) {
    const problem = await problemIn({ columns, files: [file] })
    if (problem === undefined) continue
    // The bucket's own may have been restored by the next time.
    await rm(file, { force: true })
    throw new CDCError('table-damaged', `lake: ${keys?.[index] ?? file} cannot be read: ${problem}`)
  }
}

async function problemIn(table: TableFiles): Promise<string | undefined> {
  try {
    await Array.fromAsync((await runSQL(await loadDuckDB(), table, EVERY_VALUE)).rows())
    return undefined
  } catch (error) {
    return messageOf(error).split('\n', 1)[0]
  }
}
