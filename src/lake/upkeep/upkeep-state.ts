// What upkeep remembers from one step to the next.

/** What a step of upkeep has done: the current snapshot's data files and manifests before it and after. */
export interface UpkeepOutcome {
  did: 'compact' | 'merge manifests' | 'remove lost files' | 'sweep'
  at: string
  filesBefore: number
  filesAfter: number
  manifestsBefore: number
  manifestsAfter: number
  /** Files that a sweep found which nothing refers to. */
  orphans: number
}

export interface UpkeepState {
  /** The key after which the sweep of the bucket continues; undefined if it begins again. */
  readonly sweepAfter: string | undefined
  readonly sweepDueMs: number
  readonly last: UpkeepOutcome | undefined
}

export function readUpkeepState(sql: SqlStorage): UpkeepState {
  const [row] = sql
    .exec<{ sweep_after: string | null; sweep_due_ms: number; last: string | null }>('SELECT * FROM lake_upkeep')
    .toArray()
  return {
    sweepAfter: row?.sweep_after ?? undefined,
    sweepDueMs: row?.sweep_due_ms ?? 0,
    last: row?.last ? (JSON.parse(row.last) as UpkeepOutcome) : undefined,
  }
}

export function writeUpkeepState(sql: SqlStorage, { sweepAfter, sweepDueMs, last }: UpkeepState): void {
  sql.exec(
    'INSERT OR REPLACE INTO lake_upkeep VALUES (1, ?, ?, ?)',
    sweepAfter ?? null,
    sweepDueMs,
    last === undefined ? null : JSON.stringify(last),
  )
}
