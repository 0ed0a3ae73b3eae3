// What the table's rows show of each log, and of the events without one. DuckDB does it in one sorted pass, so a table of
// any size fits in the memory that it is given, with the rest of the sort in a temporary directory.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as z from 'zod'
import { quoteText } from '../../sqlite/quote.ts'
import { runOnTable } from '../damaged-table.ts'
import type { TableFiles } from '../duckdb.ts'

/** What DuckDB may use before it writes to disk. */
const MEMORY_MB = 256
/** How much older an event may be than the one before it without a note. */
export const CLOCK_BACK_SECONDS = 60

const rangeSchema = z.object({ first: z.int(), last: z.int() })

const factsSchema = z.object({
  ns: z.string(),
  /** Global: `<ns>/DO/Customers`. */
  source: z.string(),
  epoch: z.string(),
  events: z.int(),
  firstLSN: z.int(),
  lastLSN: z.int(),
  /** The last LSN up to which nothing is missing. */
  landedLSN: z.int(),
  /** LSNs between the first and the last that are not there, the number of holes that they make, and the first holes. */
  missing: z.int(),
  holes: z.int(),
  firstHoles: z.array(rangeSchema),
  /** Rows that repeat another's LSN and id. */
  doubled: z.int(),
  /** Rows with the LSN of another event. */
  forked: z.int(),
  deadLetters: z.int(),
  /** Events that are older than the one before them, by more than `CLOCK_BACK_SECONDS`. */
  backwards: z.int(),
  /** Logs of this global source and epoch, in whichever ns. */
  namesakes: z.int(),
})

/** One log, as the table holds it. An empty log has 0 for every LSN. */
export type LogFacts = z.infer<typeof factsSchema>

const emittedSchema = z.object({ events: z.int(), doubled: z.int() })
/** Events that went through no outbox, and how many of their rows repeat another's ns and id. */
export type EmittedFacts = z.infer<typeof emittedSchema>

// A row that is marked as a fork takes no place in its log.
const LOGS = `
WITH placed AS (
  SELECT
    ns, coalesce(source, '') AS source, coalesce(epoch, '') AS epoch, lsn, id, type, "timestamp",
    coalesce(json_extract_string(_meta, '$.isFork') = 'true', false) AS is_fork
  FROM cdc.events
  WHERE lsn IS NOT NULL
),
steps AS (
  SELECT
    ns, source, epoch, lsn, type, is_fork,
    lag(lsn) OVER log AS before_lsn,
    lsn = lag(lsn) OVER log AND id = lag(id) OVER log AS is_double,
    lsn = lag(lsn) OVER log AND id <> lag(id) OVER log AS is_other,
    NOT is_fork AND lsn > lag(lsn) OVER log + 1 AS is_behind_hole,
    NOT is_fork AND "timestamp" < lag("timestamp") OVER log - INTERVAL '${CLOCK_BACK_SECONDS} seconds' AS is_back
  FROM placed
  WINDOW log AS (PARTITION BY ns, source, epoch, is_fork ORDER BY lsn, id)
)
SELECT
  ns, source, epoch,
  count(*) AS events,
  coalesce(min(lsn) FILTER (NOT is_fork), 0) AS "firstLSN",
  coalesce(max(lsn) FILTER (NOT is_fork), 0) AS "lastLSN",
  coalesce(min(before_lsn) FILTER (is_behind_hole), max(lsn) FILTER (NOT is_fork), 0) AS "landedLSN",
  coalesce(sum(lsn - before_lsn - 1) FILTER (is_behind_hole), 0) AS missing,
  count(*) FILTER (is_behind_hole) AS holes,
  coalesce(arg_min({first: before_lsn + 1, last: lsn - 1}, lsn, HOLES_MAX) FILTER (is_behind_hole), []) AS "firstHoles",
  count(*) FILTER (is_double) AS doubled,
  count(*) FILTER (is_other OR (is_fork AND before_lsn IS DISTINCT FROM lsn)) AS forked,
  count(*) FILTER (type = 'cdc.dead_letter') AS "deadLetters",
  count(*) FILTER (is_back) AS backwards,
  count(*) OVER (PARTITION BY source, epoch) AS namesakes
FROM steps
GROUP BY ns, source, epoch
ORDER BY ns, source, epoch`

const EMITTED = `
SELECT coalesce(sum(copies), 0) AS events, coalesce(sum(copies - 1), 0) AS doubled
FROM (SELECT count(*) AS copies FROM cdc.events WHERE lsn IS NULL GROUP BY ns, id)`

/** Reads each log in turn, ordered by ns, source and epoch, with at most `maxHoles` of its holes. */
export function readLogs(table: TableFiles, maxHoles: number): AsyncGenerator<LogFacts> {
  return read(table, LOGS.replace('HOLES_MAX', String(maxHoles)), factsSchema)
}

export async function readEmitted(table: TableFiles): Promise<EmittedFacts> {
  for await (const facts of read(table, EMITTED, emittedSchema)) return facts
  return { events: 0, doubled: 0 }
}

async function* read<Schema extends z.ZodType>(
  table: TableFiles,
  sql: string,
  schema: Schema,
): AsyncGenerator<z.output<Schema>> {
  const temporary = await mkdtemp(join(tmpdir(), 'durable-outbox-verify-'))
  const limits = `SET memory_limit = '${MEMORY_MB}MB'; SET temp_directory = ${quoteText(temporary)};
    SET preserve_insertion_order = false;`
  try {
    const result = await runOnTable(table, `${limits} ${sql}`)
    for await (const rows of result.rows())
      for (const row of rows) yield schema.parse(Object.fromEntries(result.keys.map((key, index) => [key, row[index]])))
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
}
