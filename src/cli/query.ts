// durable-outbox query: SQL over the events that have landed, in this machine's lake or in a bucket on Cloudflare.

import { type Command, type ExitCode, type IO, parseCommandLine } from './command.ts'
import { DEFAULT_LIMIT_ROWS, LIMIT_ROWS_MAX } from './basin-sql.ts'
import { loadDuckDB, type QueryResult, runSQL, SQLError } from './duckdb.ts'
import { type LakeOptions, readLocalTable } from './local-lake.ts'
import { writeCsv, writeJSON, writeTable } from './output.ts'
import { REMOTE_FLAGS, REMOTE_OPTIONS, remoteAsk, usage } from './query-remote.ts'
import { DEFAULT_WINDOW } from './remote-events.ts'

/** More rows than anybody reads on a screen, and few enough to lay out at once. */
const TABLE_ROWS_MAX = 1_000

const HELP = `Usage: durable-outbox query "<SQL>" [--json | --csv] [--state <dir>] [--config <file>]
       durable-outbox query "<SQL>" --remote [--json | --csv] [--account <id>] [--bucket <name>] [--since <time>]

Runs SQL (DuckDB's dialect, and Basin SQL's JSON functions) over the events that have landed in the local lake. The
current snapshot of the Iceberg table is in sight as events and as cdc.events. Times are in UTC. Of several statements
the last one's answer is printed: as a table of its first ${TABLE_ROWS_MAX} rows, or whole with --json or --csv.

  <SQL>             the statements; - reads them from the standard input
  --json            print a JSON array with an object per row
  --csv             print CSV (RFC 4180) with a header
  --state <dir>     the state directory (what wrangler dev has as --persist-to); without it, .wrangler/state (npm run dev)
                    or .wrangler/demo (npm run demo), whichever was committed last
  --config <file>   the wrangler configuration that binds the bucket LAKE_BUCKET; without it, the nearest wrangler.toml

With --remote it runs one statement on Basin SQL (Cloudflare R2 SQL), which bills what it reads. cdc.events is the table
as it is, in which a batch that was sent again stands twice; events is the part of it that was taken in since --since,
each event once. Where the SQL has no LIMIT, the service gives ${DEFAULT_LIMIT_ROWS} rows at most; a LIMIT may be ${LIMIT_ROWS_MAX}.
The token is read from BASIN_SQL_TOKEN, else WRANGLER_BASIN_SQL_AUTH_TOKEN, else CLOUDFLARE_API_TOKEN; it needs to read
Basin SQL, Basin Catalog and R2 storage.

  --account <id>    the account; else CLOUDFLARE_ACCOUNT_ID
  --bucket <name>   the R2 bucket with the catalog; else BASIN_SQL_BUCKET
  --since <time>    how far back events reaches: 90m, 36h, 30d; without it ${DEFAULT_WINDOW}
  --endpoint <url>  the service's address, where a proxy stands before it

Example: durable-outbox query "SELECT type, count(*) FROM events GROUP BY type"
`

export const queryCommand: Command = {
  name: 'query',
  summary: 'run SQL over the events in the local lake, or with --remote on Basin SQL',
  help: HELP,
  run: runQuery,
}

async function runQuery(args: readonly string[], io: IO): Promise<ExitCode> {
  const { sql, ask, print } = parse(args, io)
  const text = sql === '-' ? await io.stdin() : sql
  try {
    await print(await ask(text, io), io)
    return 0
  } catch (error) {
    if (!(error instanceof SQLError)) throw error
    io.stderr(`${error.message}\n`)
    return 1
  }
}

/** Answers SQL, and notes on stderr what was asked. */
type Ask = (sql: string, io: IO) => Promise<QueryResult>

function parse(args: readonly string[], io: IO): { sql: string; ask: Ask; print: ReturnType<typeof printer> } {
  const { values, positionals } = parseCommandLine('query', sqlLast(args), {
    json: { type: 'boolean' },
    csv: { type: 'boolean' },
    state: { type: 'string' },
    config: { type: 'string' },
    remote: { type: 'boolean' },
    ...REMOTE_OPTIONS,
  })
  const [sql, ...more] = positionals
  if (sql === undefined) throw usage('give it SQL: durable-outbox query "SELECT 1"')
  if (more.length > 0) throw usage(`one text of SQL was expected, ${positionals.length} given; put it in quotes`)
  if (values.json && values.csv) throw usage('--json and --csv exclude each other')
  const foreign = (values.remote ? LOCAL_FLAGS : REMOTE_FLAGS).find((flag) => values[flag] !== undefined)
  if (foreign !== undefined) throw usage(`--${foreign} ${values.remote ? 'excludes' : 'goes with'} --remote`)
  const ask = values.remote ? remoteAsk(values, io.env) : localAsk(values)
  return { sql, ask, print: printer(values) }
}

const LOCAL_FLAGS = ['state', 'config'] as const

function localAsk(options: LakeOptions): Ask {
  return async (sql, io) => {
    const duckdb = await loadDuckDB()
    return runSQL(duckdb, await readLocalTable(options, io), sql)
  }
}

/** SQL may begin with a comment, which parseArgs would take for a flag: behind `--` it takes nothing for one. */
function sqlLast(args: readonly string[]): string[] {
  if (args.includes('--')) return [...args]
  const comments = args.filter(isComment)
  return comments.length === 0 ? [...args] : [...args.filter((arg) => !isComment(arg)), '--', ...comments]
}

function isComment(arg: string): boolean {
  return /^--(?:\s|[^=]*\n)/.test(arg)
}

function printer(format: { json?: boolean | undefined; csv?: boolean | undefined }) {
  return async (result: QueryResult, io: IO): Promise<void> => {
    if (format.json) await writeJSON(result, io.stdout)
    else if (format.csv) await writeCsv(result, io.stdout)
    else await writeTable(result, io.stdout, { width: io.columns, maxRows: TABLE_ROWS_MAX })
  }
}
