// Counts the rows that an object writes, as the platform bills them.

/** Rows written, by what wrote them: `INSERT INTO item`, `setAlarm` … */
export type RowCount = Record<string, number>

/** Methods that the meter cannot see into. They throw, so that it never counts too little. */
const UNCOUNTED = ['put', 'delete', 'deleteAll'] as const

/** Counts everything that is written through this `ctx.storage` from now on, by this object and by the library in it. */
export class RowMeter {
  /** Kept until they are read, because a statement continues to write while its rows are read. */
  readonly #statements: { name: string; result: { readonly rowsWritten: number; readonly rowsRead: number } }[] = []
  #alarms: RowCount = {}
  #rowsRead = 0

  constructor(storage: DurableObjectStorage) {
    this.#watchStatements(storage.sql)
    this.#watchAlarms(storage)
    for (const name of UNCOUNTED) Object.defineProperty(storage, name, { value: () => refuse(name), writable: true })
  }

  /** The rows written since the last call. */
  take(): RowCount {
    const count = this.#alarms
    this.#alarms = {}
    for (const { name, result } of this.#statements.splice(0)) {
      add(count, name, result.rowsWritten)
      this.#rowsRead += result.rowsRead
    }
    return count
  }

  /** The rows read since the last call. */
  takeRead(): number {
    this.take()
    const rowsRead = this.#rowsRead
    this.#rowsRead = 0
    return rowsRead
  }

  #watchStatements(sql: SqlStorage): void {
    const exec = sql.exec.bind(sql)
    sql.exec = <T extends Record<string, SqlStorageValue>>(query: string, ...bindings: unknown[]) => {
      const result = exec<T>(query, ...bindings)
      this.#statements.push({ name: nameOf(query), result })
      return result
    }
  }

  #watchAlarms(storage: DurableObjectStorage): void {
    const setAlarm = storage.setAlarm.bind(storage)
    storage.setAlarm = (...args) => {
      add(this.#alarms, 'setAlarm', 1)
      return setAlarm(...args)
    }
    // The price list names only setAlarm, as one row. Deleting an alarm is counted the same, to be safe.
    const deleteAlarm = storage.deleteAlarm.bind(storage)
    storage.deleteAlarm = (...args) => {
      add(this.#alarms, 'deleteAlarm', 1)
      return deleteAlarm(...args)
    }
  }
}

/** The sum of all rows written. */
export function totalRows(count: RowCount): number {
  return Object.values(count).reduce((sum, rows) => sum + rows, 0)
}

/** Adds up counts, by what wrote. */
export function sumRows(counts: readonly RowCount[]): RowCount {
  const sum: RowCount = {}
  for (const [name, rows] of counts.flatMap((count) => Object.entries(count))) add(sum, name, rows)
  return sum
}

function add(count: RowCount, name: string, rows: number): void {
  if (rows > 0) count[name] = (count[name] ?? 0) + rows
}

function nameOf(query: string): string {
  return /^\s*((?:INSERT|DELETE|UPDATE|REPLACE)\b(?:\s+(?:OR \w+|INTO|FROM))*\s+\S+)/i.exec(query)?.[1] ?? query.trim()
}

function refuse(name: string): never {
  throw new Error(`RowMeter: storage.${name} writes rows that are not counted; count them here`)
}
