// Runs SQL over Parquet files with DuckDB. Columns are matched by Iceberg field id, as the spec asks: a file that
// predates a column has null there, and a renamed column keeps its values.

import type { DuckDBConnection, DuckDBType, DuckDBValue, DuckDBValueConverter, Json } from '@duckdb/node-api'
import { CDCError, messageOf } from '../error.ts'
import type { Column } from '../lake/iceberg/schema.ts'
import { quoteName, quoteText } from '../sqlite/quote.ts'
import { JSON_MACROS } from './basin-json.ts'
import { importOptional } from './command.ts'
import { isBlank } from './sql-tokens.ts'
import { isoTime } from '../event/iso-time.ts'
import { exactNumber } from './values.ts'

type DuckDB = typeof import('@duckdb/node-api')

/** A snapshot of the table as local files. */
export interface TableFiles {
  readonly columns: readonly Column[]
  /** Local paths of the snapshot's data files. */
  readonly files: readonly string[]
  /** The same files as the bucket names them, if they come from one. */
  readonly keys?: readonly string[]
}

/** What a statement answers. */
export interface QueryResult {
  readonly columns: readonly string[]
  /** The columns' names made different from each other, to be the keys of an object. */
  readonly keys: readonly string[]
  /** Rows in portions. */
  rows(): AsyncIterable<readonly (readonly Json[])[]>
}

const DUCKDB_TYPES: Readonly<Record<Column['type'], string>> = {
  string: 'VARCHAR',
  long: 'BIGINT',
  timestamptz: 'TIMESTAMP WITH TIME ZONE',
}

/** A statement failed. The message is the engine's own, of several lines, and may quote what events hold. */
export class SQLError extends Error {
  override readonly name = 'SQLError'
}

/** The oldest version that the queries are written for. */
const VERSION_MIN = '1.5'

/** Loads DuckDB. @throws {CDCError} `not-found` if it is not installed, `invalid-config` if it is too old. */
export async function loadDuckDB(): Promise<DuckDB> {
  const duckdb = await importOptional('@duckdb/node-api', () => import('@duckdb/node-api'))
  const version = duckdb.version()
  if (isAtLeast(version, VERSION_MIN)) return duckdb
  throw new CDCError(
    'invalid-config',
    `the package @duckdb/node-api has DuckDB ${version}, and ${VERSION_MIN} is needed; npm install -D @duckdb/node-api@latest`,
  )
}

/**
 * Whether a version such as `v1.5.6` is a given one or newer. The package's peer range cannot ask for it: all versions of
 * `@duckdb/node-api` are prereleases, and those match no range except `*`.
 */
export function isAtLeast(version: string, least: string): boolean {
  return version.replace(/^v/, '').localeCompare(least, 'en', { numeric: true }) >= 0
}

/** Values by the names that stand as `$name` in a statement. */
export type Parameters = Readonly<Record<string, string | bigint | null>>

/** Runs SQL once, in a session of its own. See `Session`. */
export async function runSQL(
  duckdb: DuckDB,
  table: TableFiles,
  sql: string,
  parameters: Parameters = {},
): Promise<QueryResult> {
  const session = await Session.open(duckdb)
  await session.show(table)
  return session.run(sql, parameters)
}

/** A DuckDB that stays open: what one statement makes, the next one finds. */
export class Session {
  readonly #duckdb: DuckDB
  readonly #connection: DuckDBConnection

  private constructor(duckdb: DuckDB, connection: DuckDBConnection) {
    this.#duckdb = duckdb
    this.#connection = connection
  }

  static async open(duckdb: DuckDB): Promise<Session> {
    const instance = await duckdb.DuckDBInstance.create(':memory:')
    const connection = await instance.connect()
    // DATE(timestamp) and CURRENT_DATE follow the session's time zone, which is the machine's unless it is set.
    await connection.run("SET TimeZone = 'UTC'")
    for (const macro of JSON_MACROS) await connection.run(macro)
    await connection.run('CREATE SCHEMA cdc')
    return new Session(duckdb, connection)
  }

  /** Makes the table visible as `events` and `cdc.events`, in place of the one before it. */
  async show(table: TableFiles): Promise<void> {
    const rows = table.files.length === 0 ? emptyTable(table) : scan(table)
    await this.#connection.run(`CREATE OR REPLACE VIEW cdc.events AS ${rows}`)
    await this.#connection.run('CREATE OR REPLACE VIEW events AS SELECT * FROM cdc.events')
  }

  /**
   * Runs every statement of `sql`.
   *
   * @param parameters for a single statement that names all of them.
   * @returns what the last statement answers.
   * @throws {SQLError} if a statement fails; or a `CDCError` `invalid-argument` if there is none.
   */
  async run(sql: string, parameters: Parameters = {}): Promise<QueryResult> {
    // DuckDB's own answer to SQL of comments alone is "Error in native callback".
    const result = isBlank(sql) ? undefined : await runStatements(this.#connection, sql, parameters)
    if (result === undefined) throw new CDCError('invalid-argument', 'the SQL has no statement in it')
    return {
      columns: result.columnNames(),
      keys: result.deduplicatedColumnNames(),
      rows: () => result.yieldConvertedRows(jsonConverter(this.#duckdb)),
    }
  }
}

function emptyTable({ columns }: TableFiles): string {
  const nulls = columns.map(({ name, type }) => `CAST(NULL AS ${DUCKDB_TYPES[type]}) AS ${quoteName(name)}`)
  return `SELECT ${nulls.join(', ')} WHERE false`
}

function scan({ columns, files }: TableFiles): string {
  const fields = columns.map(
    ({ id, name, type }) => `${id}: {name: ${quoteText(name)}, type: '${DUCKDB_TYPES[type]}', default_value: NULL}`,
  )
  return `SELECT * FROM read_parquet([${files.map(quoteText).join(', ')}],
    hive_partitioning = false, schema = MAP {${fields.join(', ')}})`
}

async function runStatements(connection: DuckDBConnection, sql: string, parameters: Parameters) {
  try {
    const statements = await connection.extractStatements(sql)
    let result: Awaited<ReturnType<DuckDBConnection['run']>> | undefined
    // A statement is prepared only after the one before it ran, because it may need what that one made.
    for (let index = 0; index < statements.count; index += 1) {
      const statement = await statements.prepare(index)
      if (statement.parameterCount > 0) statement.bind({ ...parameters })
      result = await statement.run()
    }
    return result
  } catch (error) {
    throw new SQLError(messageOf(error), { cause: error })
  }
}

/** Turns DuckDB's values into JSON's: a timestamp into ISO 8601 in UTC, an integer into a number if that is exact. */
function jsonConverter(duckdb: DuckDB): DuckDBValueConverter<Json> {
  const { DuckDBTimestampTZValue, DuckDBTimestampValue, DuckDBDecimalValue } = duckdb
  const { DuckDBTimestampSecondsValue, DuckDBTimestampMillisecondsValue, DuckDBTimestampNanosecondsValue } = duckdb
  return function convert(value: DuckDBValue, type: DuckDBType, self: DuckDBValueConverter<Json>): Json {
    if (typeof value === 'bigint') return exactNumber(value) ?? String(value)
    if (value instanceof DuckDBTimestampTZValue || value instanceof DuckDBTimestampValue)
      return value.isFinite ? isoTime(value.micros * 1000n) : infinite(value.micros)
    if (value instanceof DuckDBTimestampNanosecondsValue)
      return value.isFinite ? isoTime(value.nanos) : infinite(value.nanos)
    if (value instanceof DuckDBTimestampMillisecondsValue) return isoTime(value.millis * 1_000_000n)
    if (value instanceof DuckDBTimestampSecondsValue) return isoTime(value.seconds * 1_000_000_000n)
    if (value instanceof DuckDBDecimalValue)
      return exactNumber(value.value) === undefined ? value.toString() : value.toDouble()
    return duckdb.JsonDuckDBValueConverter(value, type, self)
  }
}

function infinite(value: bigint): string {
  return value < 0n ? '-infinity' : 'infinity'
}
