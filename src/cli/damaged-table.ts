// A table of which a file is gone or not valid: the file is named, and so is the command that heals it.

import { rm } from 'node:fs/promises'
import { CDCError, messageOf } from '../error.ts'
import { loadDuckDB, type Parameters, type QueryResult, runSQL, type TableFiles } from './duckdb.ts'

const HINT = 'durable-outbox recover tells what is wrong with the table, and heals it'

/** What the readers of the table say about a file of it, as opposed to a configuration that is wrong. */
const ABOUT_TABLE = /^lake: .*(?:is not |are not valid|does not have )/

/** Adds to an error about a file of the table what heals it. Others stay as they are. */
export function withRemedy(error: unknown): unknown {
  const isGone = error instanceof CDCError && error.code === 'not-found' && error.retryable
  const isBroken = error instanceof CDCError && error.code === 'invalid-config' && ABOUT_TABLE.test(error.message)
  return isGone || isBroken ? new CDCError('invalid-config', `${error.message}; ${HINT}`, { cause: error }) : error
}

/** What an engine says about a file that it can't read, as opposed to SQL that is wrong. */
const ABOUT_FILES = /^(?:IO|Invalid|Invalid Input|INTERNAL|Serialization|Out of Memory) Error|parquet|zstd|TProtocol/i

/**
 * Runs SQL over a table.
 *
 * @throws {CDCError} `invalid-config`, naming the file, if the engine can't read one; or like `runSQL`.
 */
export async function runOnTable(table: TableFiles, sql: string, parameters: Parameters = {}): Promise<QueryResult> {
  try {
    return await runSQL(await loadDuckDB(), table, sql, parameters)
  } catch (error) {
    const key = ABOUT_FILES.test(messageOf(error)) ? await findDamaged(table) : undefined
    if (key === undefined) throw error
    throw withRemedy(new CDCError('invalid-config', `lake: ${key} is not valid Parquet`, { cause: error }))
  }
}

/** The first file that can't be read in all columns. Its copy is removed: the bucket's may have been restored by the next time. */
async function findDamaged(table: TableFiles): Promise<string | undefined> {
  const duckdb = await loadDuckDB()
  for (const [index, file] of table.files.entries())
    try {
      await runSQL(duckdb, { ...table, files: [file] }, 'SELECT max(COLUMNS(*)) FROM cdc.events')
    } catch {
      await rm(file, { force: true })
      return table.keys?.[index] ?? file
    }
  return undefined
}
