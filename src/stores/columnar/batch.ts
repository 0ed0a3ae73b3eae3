// Rows that are inserted together, whether they came as rows or as columns.

import { isPlainObject } from '../../event/json.ts'
import { checkBatch, describe, invalid } from '../checks.ts'
import { type Column, type Columns, type ColumnType, type Encoded, encoders, mismatch, typeOfValue } from './column.ts'
import { limits } from './limits.ts'
import { addColumns } from './schema.ts'

/** A batch as it came. */
export interface Batch {
  readonly count: number
  readonly names: Iterable<string>
  valuesOf(name: string): readonly unknown[]
  rowAt(index: number): Record<string, unknown>
}

/** A batch as it is stored: for each column with any value, one value per row. */
export interface EncodedBatch {
  readonly count: number
  readonly values: ReadonlyMap<Column, readonly Encoded[]>
}

/** Reads rows or columns. @throws {CDCError} `invalid-argument` for anything else, and beyond `limits.batchRows`. */
export function readBatch(input: unknown, caller: string): Batch {
  if (!isPlainObject(input) && !Array.isArray(input))
    throw invalid(caller, `pass an array of rows, or an object with an array for each column; not ${describe(input)}`)
  const batch = Array.isArray(input) ? fromRows(input, caller) : fromColumns(input, caller)
  checkBatch(batch.count, limits.batchRows, 'rows', caller)
  return batch
}

/**
 * Encodes a batch.
 *
 * @param isClosed whether there can be no other columns than the known ones.
 * @returns with it, the columns from now on: a new one has the type of its first value.
 */
export function encodeBatch(
  batch: Batch,
  known: Columns,
  { isClosed, caller }: { isClosed: boolean; caller: string },
): { columns: Columns; encoded: EncodedBatch } {
  const given = new Map<string, readonly unknown[]>()
  const added: [string, ColumnType][] = []
  for (const name of batch.names) {
    const values = batch.valuesOf(name)
    given.set(name, values)
    if (known.has(name)) continue
    // Without a value, a column has no type yet and nothing to store.
    const first = values.findIndex((value) => value !== null && value !== undefined)
    if (first === -1) continue
    if (isClosed) throw invalid(caller, `row ${first + 1}: the schema has no column ${JSON.stringify(name)}`)
    const type = typeOfValue(values[first])
    if (type === undefined)
      throw invalid(caller, `row ${first + 1}: ${name} is ${describe(values[first])}, which no column can hold`)
    added.push([name, type])
  }
  const columns = added.length === 0 ? known : addColumns(known, added, caller)
  const values = new Map<Column, readonly Encoded[]>()
  for (const [name, columnValues] of given) {
    const column = columns.get(name)
    if (column !== undefined) values.set(column, encodeColumn(columnValues, column, caller))
  }
  return { columns, encoded: { count: batch.count, values } }
}

function encodeColumn(values: readonly unknown[], { name, type }: Column, caller: string): Encoded[] {
  const encode = encoders[type]
  return values.map((value, index) => {
    if (value === null || value === undefined) return null
    const encoded = encode(value)
    if (encoded === undefined) throw invalid(caller, `row ${index + 1}: ${name} ${mismatch(type, value)}`)
    return encoded
  })
}

function fromRows(rows: readonly unknown[], caller: string): Batch {
  const names = new Set<string>()
  const checked: Record<string, unknown>[] = []
  for (const row of rows) {
    if (!isPlainObject(row))
      throw invalid(caller, `row ${checked.length + 1} must be a plain object, not ${describe(row)}`)
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

function fromColumns(columns: Record<string, unknown>, caller: string): Batch {
  const names = Object.keys(columns).filter((name) => columns[name] !== undefined)
  const arrays = new Map<string, readonly unknown[]>()
  for (const name of names) {
    const values = columns[name]
    if (!Array.isArray(values)) throw invalid(caller, `column ${name} must be an array, not ${describe(values)}`)
    arrays.set(name, values)
  }
  const count = arrays.get(names[0] ?? '')?.length ?? 0
  for (const [name, { length }] of arrays)
    if (length !== count) throw invalid(caller, `column ${name} has ${length} values, but ${names[0]} has ${count}`)
  return {
    count,
    names,
    valuesOf: (name) => arrays.get(name) ?? [],
    rowAt: (index) => Object.fromEntries(names.map((name) => [name, arrays.get(name)?.[index]])),
  }
}
