// Rows that are inserted together, whichever way round they came: as rows, or as columns already.

import { type Column, type Columns, type ColumnType, type Encoded, encoders, refusal, typeOfValue } from './column.ts'
import { isPlainObject } from '../../event/json.ts'
import { invalid } from '../checks.ts'
import { addColumns } from './schema.ts'

/** Rows of one batch. */
export const COLUMNAR_BATCH_ROWS_MAX = 100_000

/** A batch as it was given. */
export interface Batch {
  readonly count: number
  readonly names: Iterable<string>
  valuesOf(name: string): readonly unknown[]
  rowAt(index: number): Record<string, unknown>
}

/** A batch as it is kept: of each column that has a value in it, one for every row. */
export interface EncodedBatch {
  readonly count: number
  readonly values: ReadonlyMap<Column, readonly Encoded[]>
}

/** Looks at what was given. @throws {CDCError} `invalid-argument` where that is neither rows nor columns. */
export function readBatch(input: unknown, method: string): Batch {
  if (!isPlainObject(input) && !Array.isArray(input))
    throw invalid(method, 'give an array of rows, or an object with an array for each column')
  const batch = Array.isArray(input) ? fromRows(input, method) : fromColumns(input, method)
  if (batch.count > COLUMNAR_BATCH_ROWS_MAX)
    throw invalid(
      method,
      `${batch.count} rows, the limit is ${COLUMNAR_BATCH_ROWS_MAX}; insert them in several batches`,
    )
  return batch
}

/**
 * Encodes a batch.
 *
 * @param isClosed whether there can be no columns but these.
 * @returns with it, the columns that there are from now on: a new one has the type of its first value.
 */
export function encodeBatch(
  batch: Batch,
  known: Columns,
  { isClosed, method }: { isClosed: boolean; method: string },
): { columns: Columns; encoded: EncodedBatch } {
  const given = new Map<string, readonly unknown[]>()
  const added: [string, ColumnType][] = []
  for (const name of batch.names) {
    const values = batch.valuesOf(name)
    given.set(name, values)
    if (known.has(name)) continue
    // Without a value a column has no type yet, and nothing to be kept.
    const first = values.findIndex((value) => value !== null && value !== undefined)
    if (first === -1) continue
    if (isClosed) throw invalid(method, `row ${first + 1}: the schema has no column ${JSON.stringify(name)}`)
    const type = typeOfValue(values[first])
    if (type === undefined)
      throw invalid(method, `row ${first + 1}: ${name} is a ${typeof values[first]}, which no column can hold`)
    added.push([name, type])
  }
  const columns = added.length === 0 ? known : addColumns(known, added, method)
  const values = new Map<Column, readonly Encoded[]>()
  for (const [name, ofColumn] of given) {
    const column = columns.get(name)
    if (column !== undefined) values.set(column, encodeColumn(ofColumn, column, method))
  }
  return { columns, encoded: { count: batch.count, values } }
}

function encodeColumn(values: readonly unknown[], { name, type }: Column, method: string): Encoded[] {
  const encode = encoders[type]
  return values.map((value, index) => {
    if (value === null || value === undefined) return null
    const kept = encode(value)
    if (kept === undefined) throw invalid(method, `row ${index + 1}: ${name} ${refusal(type, value)}`)
    return kept
  })
}

function fromRows(rows: readonly unknown[], method: string): Batch {
  const names = new Set<string>()
  const checked: Record<string, unknown>[] = []
  for (const row of rows) {
    if (!isPlainObject(row)) throw invalid(method, `row ${checked.length + 1} is not a plain object`)
    for (const name of Object.keys(row)) names.add(name)
    checked.push(row)
  }
  return {
    count: checked.length,
    names,
    valuesOf: (name) => checked.map((row) => row[name]),
    rowAt: (index) => checked[index] ?? {},
  }
}

function fromColumns(columns: Record<string, unknown>, method: string): Batch {
  const names = Object.keys(columns).filter((name) => columns[name] !== undefined)
  const arrays = new Map<string, readonly unknown[]>()
  for (const name of names) {
    const values = columns[name]
    if (!Array.isArray(values)) throw invalid(method, `column ${name} is not an array`)
    arrays.set(name, values)
  }
  const count = arrays.get(names[0] ?? '')?.length ?? 0
  for (const [name, { length }] of arrays)
    if (length !== count) throw invalid(method, `column ${name} has ${length} values, ${names[0]} has ${count}`)
  return {
    count,
    names,
    valuesOf: (name) => arrays.get(name) ?? [],
    rowAt: (index) => Object.fromEntries(names.map((name) => [name, arrays.get(name)?.[index]])),
  }
}
