// durable-outbox query: SQL over the events that have landed, in this machine's lake or in a bucket on Cloudflare.

import { join } from 'node:path'
import { type Command, type ExitCode, type IO, parseCommandLine, usage } from './command.ts'
import { overTable } from './damaged-table.ts'
import { loadDuckDB, type QueryResult, Session, SQLError } from './duckdb.ts'
import { LAKE_HELP, LAKE_OPTIONS, LocalLake } from './local-lake.ts'
import { checkFormat, FORMAT_HELP, FORMAT_OPTIONS, type Format, printRows, TABLE_ROWS_MAX } from './output.ts'
import { DEFAULT_LIMIT_ROWS, LIMIT_ROWS_MAX } from './query/basin-sql.ts'
import { noteError, runShell } from './query/shell.ts'
import { REMOTE_FLAGS, REMOTE_OPTIONS, remoteAsk } from './query/remote.ts'
import { DEFAULT_WINDOW } from './query/remote-events.ts'

const HELP = `Usage: durable-outbox query ["<SQL>"] [options]
       durable-outbox query "<SQL>" --remote [options]

Runs SQL over the events that have landed in the local lake: DuckDB's dialect, with Basin SQL's JSON
functions. The table's current snapshot is visible as events and as cdc.events. Times are in UTC.
The result of the last statement is printed: its first ${TABLE_ROWS_MAX} rows as a table, or all of them with
--json or --csv.

  <SQL>             the statements; - reads them from the standard input. Without it they are asked
                    for one by one, each until its semicolon, and DuckDB stays open: what one makes,
                    the next one finds. Ctrl-D or exit ends it
${FORMAT_HELP}
${LAKE_HELP}

With --remote, one statement runs on Basin SQL (Cloudflare R2 SQL), which bills what it reads.
cdc.events is the table as it is; a batch that was sent again is in it twice. events is the part of
it that was ingested since --since, each event once. Without a LIMIT in the SQL, the service returns
at most ${DEFAULT_LIMIT_ROWS} rows; the highest LIMIT is ${LIMIT_ROWS_MAX}.

The token is the first of BASIN_SQL_TOKEN, WRANGLER_BASIN_SQL_AUTH_TOKEN and CLOUDFLARE_API_TOKEN
that is set. It needs to read Basin SQL, Basin Catalog and R2 storage.

  --account <id>    the account; default: CLOUDFLARE_ACCOUNT_ID in the environment
  --bucket <name>   the R2 bucket with the catalog; default: BASIN_SQL_BUCKET in the environment
  --since <time>    how far back events reaches, such as 90m, 36h or 30d; default: ${DEFAULT_WINDOW}
  --endpoint <url>  the address of a proxy in front of the service

Example: durable-outbox query "SELECT type, count(*) FROM events GROUP BY type"
`

export const queryCommand: Command = {
  name: 'query',
  summary: 'run SQL over the events in the local lake, or with --remote on Basin SQL',
  help: HELP,
  run: runQuery,
}

const LOCAL_FLAGS = ['state', 'config', 'env'] as const

/** Answers SQL, and notes what was asked. */
type Ask = (sql: string, io: IO) => Promise<QueryResult>

interface Question {
  readonly sql: string | undefined
  readonly format: Format
}

async function runQuery(args: readonly string[], io: IO): Promise<ExitCode> {
  const { sql, options, format } = parse(args)
  if (options.remote) return answer(remoteAsk(options, io.env), { sql, format }, io)
  const lake = new LocalLake(options, io)
  try {
    if (sql !== undefined) return await answer(askIn(lake), { sql, format }, io)
    // So that the first statement does not wait for it, and what is missing is told at once.
    await lake.read()
    await runShell(askIn(lake), { format, historyPath: join(lake.cacheDirectory, 'query-history') }, io)
    return 0
  } finally {
    await lake.close()
  }
}

async function answer(ask: Ask, { sql = '-', format }: Question, io: IO): Promise<ExitCode> {
  const text = sql === '-' ? await io.stdin() : sql
  try {
    await printRows(await ask(text, io), format, io)
    return 0
  } catch (error) {
    if (!(error instanceof SQLError)) throw error
    noteError(error.message, io)
    return 1
  }
}

function parse(args: readonly string[]) {
  const { values, positionals } = parseCommandLine(sqlLast(args), {
    ...FORMAT_OPTIONS,
    ...LAKE_OPTIONS,
    ...REMOTE_OPTIONS,
    remote: { type: 'boolean' },
  })
  const [sql, ...more] = positionals
  if (sql === undefined && values.remote) throw usage('give it SQL: durable-outbox query "SELECT 1" --remote')
  if (more.length > 0) throw usage(`one text of SQL was expected, ${positionals.length} given; put it in quotes`)
  checkFormat(values)
  const foreign = (values.remote ? LOCAL_FLAGS : REMOTE_FLAGS).find((flag) => values[flag] !== undefined)
  if (foreign !== undefined) throw usage(`--${foreign} ${values.remote ? 'excludes' : 'needs'} --remote`)
  return { sql, options: values, format: values }
}

/** One session for all statements. The lake is read again before each, which takes no time if nothing was written. */
function askIn(lake: LocalLake): Ask {
  let session: Session | undefined
  let shown: string | undefined
  return async (sql) => {
    const table = await lake.read()
    const open = (session ??= await Session.open(await loadDuckDB()))
    const files = table.files.join('\n')
    if (files !== shown) await open.show(table)
    shown = files
    return overTable(table, () => open.run(sql))
  }
}

/** SQL may begin with a comment, which parseArgs would take for an option, unless it comes after `--`. */
function sqlLast(args: readonly string[]): string[] {
  if (args.includes('--')) return [...args]
  const comments = args.filter(isComment)
  return comments.length === 0 ? [...args] : [...args.filter((arg) => !isComment(arg)), '--', ...comments]
}

function isComment(arg: string): boolean {
  return /^--(?:\s|[^=]*\n)/.test(arg)
}
