// Reads the files of the table through to the end: a file can be there with the right size and hold nothing readable.

import { CDCError, messageOf } from '../../error.ts'
import { loadDuckDB, runSQL, type TableFiles } from '../duckdb.ts'
import type { LocalTable } from '../local-table.ts'

/** Decodes each column of each row. */
const EVERY_VALUE = 'SELECT count(hash(event)) FROM events AS event'

/** @throws {CDCError} `invalid-config`, with the key of the first file that cannot be read. */
export async function readContents({ columns, files, keys }: LocalTable): Promise<void> {
  if ((await problemIn({ columns, files })) === undefined) return
  for (const [index, file] of files.entries()) {
    const problem = await problemIn({ columns, files: [file] })
    if (problem !== undefined) throw new CDCError('invalid-config', `lake: ${keys[index]} cannot be read: ${problem}`)
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
