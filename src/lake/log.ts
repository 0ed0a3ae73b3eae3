// The name of a log: one outbox in one epoch. An outbox's `source` is not global, as two ns may have the same, so the table
// holds `<ns>/<source>`. Inside the lake a log is one text, its key.

/** JSON of `[ns, source, epoch]`, with the source as its outbox has it. */
export type LogKey = string

/** A log as the table names it. */
export interface LogName {
  readonly ns: string
  /** Global: `<ns>/<source>`. */
  readonly source: string
  readonly epoch: string
}

/** The key of a log, from what its outbox puts into each record. */
export function logKey({ ns, source, epoch }: { ns: string; source: string; epoch: string }): LogKey {
  return JSON.stringify([ns, source, epoch])
}

export function logName(key: LogKey): LogName {
  const [ns, source, epoch] = JSON.parse(key) as [string, string, string]
  return { ns, source: `${ns}/${source}`, epoch }
}

export function logKeyOf({ ns, source, epoch }: LogName): LogKey {
  return logKey({ ns, source: source.slice(ns.length + 1), epoch })
}
