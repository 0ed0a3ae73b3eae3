// durable-outbox query: SQL over the events that have landed in this machine's lake.

import { CDCError } from '../error.ts'
import { type Command, type ExitCode, type IO, parseCommandLine } from './command.ts'
import { loadDuckDB, type QueryResult, runSQL, SQLError } from './duckdb.ts'
import { readLocalTable } from './local-lake.ts'
import { writeCsv, writeJson, writeTable } from './output.ts'

/** More rows than anybody reads on a screen, and few enough to lay out at once. */
const TABLE_ROWS_MAX = 1_000

const HELP = `Usage: durable-outbox query "<SQL>" [--json | --csv] [--state <dir>] [--config <file>]

Runs SQL (DuckDB's dialect) over the events that have landed in the local lake. The current snapshot of the Iceberg
table is in sight as events and as cdc.events. Times are in UTC. Of several statements the last one's answer is printed: as a
table of its first ${TABLE_ROWS_MAX} rows, or whole with --json or --csv.

  <SQL>             the statements; - reads them from the standard input
  --json            print a JSON array with an object per row
  --csv             print CSV (RFC 4180) with a header
  --state <dir>     the state directory (what wrangler dev has as --persist-to); without it, .wrangler/state (npm run dev)
                    or .wrangler/demo (npm run demo), whichever was committed last
  --config <file>   the wrangler configuration that binds the bucket LAKE_BUCKET; without it, the nearest wrangler.toml

Example: durable-outbox query "SELECT type, count(*) FROM events GROUP BY type"
`

export const queryCommand: Command = {
  name: 'query',
  summary: 'run SQL over the events in the local lake',
  help: HELP,
  run: runQuery,
}

async function runQuery(args: readonly string[], io: IO): Promise<ExitCode> {
  const options = parse(args)
  const sql = options.sql === '-' ? await io.stdin() : options.sql
  const duckdb = await loadDuckDB()
  const table = await readLocalTable(options, io)
  try {
    await options.print(await runSQL(duckdb, table, sql), io)
    return 0
  } catch (error) {
    if (!(error instanceof SQLError)) throw error
    io.stderr(`${error.message}\n`)
    return 1
  }
}

function parse(args: readonly string[]) {
  const { values, positionals } = parseCommandLine('query', sqlLast(args), {
    json: { type: 'boolean' },
    csv: { type: 'boolean' },
    state: { type: 'string' },
    config: { type: 'string' },
  })
  const [sql, ...more] = positionals
  if (sql === undefined) throw new CDCError('invalid-argument', 'query: give it SQL: durable-outbox query "SELECT 1"')
  if (more.length > 0)
    throw new CDCError(
      'invalid-argument',
      `query: one text of SQL was expected, ${positionals.length} given; put it in quotes`,
    )
  if (values.json && values.csv) throw new CDCError('invalid-argument', 'query: --json and --csv exclude each other')
  return { sql, state: values.state, config: values.config, print: printer(values) }
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
    if (format.json) await writeJson(result, io.stdout)
    else if (format.csv) await writeCsv(result, io.stdout)
    else await writeTable(result, io.stdout, { width: io.columns, rowsMax: TABLE_ROWS_MAX })
  }
}
