// How rows become chunks: a chunk is a row of SQLite that holds many rows of one partition, column by column, with statistics
// of each column by which a query skips chunks.

import type { EncodedBatch } from './batch.ts'
import type { Column, ColumnType, Encoded } from './column.ts'
import { limits } from './limits.ts'

/**
 * Rows of a chunk. More of them make inserts cheaper, as a chunk is one written row, and queries more expensive, as SQLite
 * searches a row's value from the beginning of each column.
 */
export const CHUNK_ROWS_MAX = 512

/**
 * UTF-16 units of JSON in a slice of a batch. An event of it stays below a megabyte of UTF-8, even if each unit is three bytes:
 * the nulls and the names of 90 columns add 380,000 bytes at most.
 */
const SLICE_CHARACTERS_MAX = limits.rowCharacters

/** Longer strings are not kept as bounds: a chunk with such a string is never skipped. */
const BOUND_CHARACTERS_MAX = 128

export type Bound = string | number | boolean

/** Statistics of one column in some rows. Without bounds if nothing is known of the values that are not null. */
interface Statistics {
  readonly nulls: number
  readonly min?: Bound
  readonly max?: Bound
}

/** Statistics by the position of the column; null for a column that is null in all these rows. */
export type AllStatistics = readonly (Statistics | null)[]

/** Consecutive rows of a batch, all of one partition. */
export interface Slice {
  readonly count: number
  /** UTF-16 units of all its values as JSON. */
  readonly length: number
  /** The values of each column that has any, as JSON with commas but without brackets, so that they can be concatenated. */
  readonly texts: ReadonlyMap<Column, string>
  readonly statistics: AllStatistics
}

/** A chunk without its values. */
export interface ChunkHead {
  /** The number of its first row in the partition, from 0. */
  readonly first: number
  readonly count: number
  readonly length: number
  readonly statistics: AllStatistics
}

/**
 * Cuts rows of a batch into slices, each of which fits into a chunk.
 *
 * @param indexes the indexes of the rows, in order; all of one partition.
 * @returns the slices, or the index of a row that is too large for any.
 */
export function cutSlices(batch: EncodedBatch, indexes: readonly number[]): Slice[] | number {
  const slices: Slice[] = []
  for (let start = 0; start < indexes.length; start += CHUNK_ROWS_MAX) {
    const fitting = fittingSlices(batch, indexes.slice(start, start + CHUNK_ROWS_MAX))
    if (typeof fitting === 'number') return fitting
    slices.push(...fitting)
  }
  return slices
}

/** Whether a slice is appended to an existing chunk, so that small batches don't leave small chunks. */
export function fitsInto(chunk: ChunkHead, slice: Slice): boolean {
  return chunk.count + slice.count <= CHUNK_ROWS_MAX && chunk.length + slice.length <= SLICE_CHARACTERS_MAX
}

/** The statistics of a chunk and a slice together. */
export function mergeStatistics(chunk: ChunkHead, slice: Slice): AllStatistics {
  return Array.from({ length: Math.max(chunk.statistics.length, slice.statistics.length) }, (_, position) =>
    merge(
      chunk.statistics[position] ?? { nulls: chunk.count },
      chunk.count,
      slice.statistics[position] ?? { nulls: slice.count },
      slice.count,
    ),
  )
}

/** Whether any row of a chunk has a value in a column. */
export function hasValues({ count, statistics }: ChunkHead, { position }: Column): boolean {
  const columnStatistics = statistics[position]
  return columnStatistics !== undefined && columnStatistics !== null && columnStatistics.nulls < count
}

/** Nulls, as the values of a column are written. */
export function nullsText(count: number): string {
  return 'null,'.repeat(count).slice(0, -1)
}

/** The key of an event: the place of its first row. */
export function keyOf(partition: string, first: number): string {
  return `${partition}/${first}`
}

export function parseKey(key: string): { partition: string; first: number } {
  const slash = key.lastIndexOf('/')
  return { partition: key.slice(0, slash), first: Number(key.slice(slash + 1)) }
}

/** Rows as an event holds them: everything that is needed to rebuild them, as JSON. */
export function batchText(
  { partition, first, count }: { partition: string; first: number; count: number },
  texts: ReadonlyMap<Column, string>,
): string {
  let types = ''
  let columns = ''
  for (const [{ key, type }, text] of texts) {
    const separator = types === '' ? '' : ','
    types += `${separator}${key}:"${type}"`
    columns += `${separator}${key}:[${text}]`
  }
  return `{"partition":${JSON.stringify(partition)},"first":${first},"count":${count},"types":{${types}},"columns":{${columns}}}`
}

/** The rows of one event: consecutive slices with the same columns, as many as it can hold. */
export interface Group {
  readonly count: number
  readonly texts: ReadonlyMap<Column, string>
}

export function groupSlices(slices: readonly Slice[]): Group[] {
  const groups: Slice[][] = []
  let length = 0
  for (const slice of slices) {
    const group = groups.at(-1)
    length += slice.length
    if (group?.[0] !== undefined && length <= SLICE_CHARACTERS_MAX && haveSameColumns(group[0], slice))
      group.push(slice)
    else {
      groups.push([slice])
      length = slice.length
    }
  }
  return groups.map(joinSlices)
}

function joinSlices(slices: readonly Slice[]): Group {
  const [first] = slices
  if (first !== undefined && slices.length === 1) return first
  const texts = new Map<Column, string>()
  for (const column of first?.texts.keys() ?? [])
    texts.set(column, slices.map((slice) => slice.texts.get(column)).join(','))
  return { count: slices.reduce((sum, { count }) => sum + count, 0), texts }
}

function fittingSlices(batch: EncodedBatch, indexes: readonly number[]): Slice[] | number {
  const slice = createSlice(batch, indexes)
  if (slice.length <= SLICE_CHARACTERS_MAX) return [slice]
  const [only] = indexes
  if (indexes.length === 1 && only !== undefined) return only
  const middle = Math.ceil(indexes.length / 2)
  const [before, after] = [indexes.slice(0, middle), indexes.slice(middle)].map((half) => fittingSlices(batch, half))
  if (typeof before !== 'object') return before ?? 0
  return typeof after === 'object' ? [...before, ...after] : (after ?? 0)
}

function createSlice(batch: EncodedBatch, indexes: readonly number[]): Slice {
  const texts = new Map<Column, string>()
  const statistics: (Statistics | null)[] = []
  let length = 0
  for (const [column, all] of batch.values) {
    const values = indexes.map((index) => all[index] ?? null)
    const columnStatistics = statisticsOf(values)
    if (columnStatistics.nulls === values.length) continue
    const text = JSON.stringify(values).slice(1, -1)
    while (statistics.length < column.position) statistics.push(null)
    statistics[column.position] = isOrderedAlike(column.type, text)
      ? columnStatistics
      : { nulls: columnStatistics.nulls }
    texts.set(column, text)
    length += text.length
  }
  return { count: indexes.length, length, texts, statistics }
}

function statisticsOf(values: readonly Encoded[]): Statistics {
  let nulls = 0
  let min: Bound | undefined
  let max: Bound | undefined
  for (const value of values)
    if (value === null) nulls += 1
    else if (typeof value === 'object') continue
    else if (min === undefined || max === undefined) min = max = value
    else if (value < min) min = value
    else if (value > max) max = value
  if (min === undefined || max === undefined || isLong(min) || isLong(max)) return { nulls }
  return { nulls, min, max }
}

/** JavaScript orders strings by UTF-16 units, SQLite by code points. Without surrogates, this is the same order. */
function isOrderedAlike(type: ColumnType, text: string): boolean {
  return type !== 'json' && (type !== 'string' || !/[\ud800-\udfff]/.test(text))
}

function merge(a: Statistics, aCount: number, b: Statistics, bCount: number): Statistics {
  const nulls = a.nulls + b.nulls
  const [{ min, max }, other] = a.nulls === aCount ? [b, b] : b.nulls === bCount ? [a, a] : [a, b]
  if (min === undefined || max === undefined || other.min === undefined || other.max === undefined) return { nulls }
  return {
    nulls,
    min: other.min < min ? other.min : min,
    max: other.max > max ? other.max : max,
  }
}

function isLong(bound: Bound): boolean {
  return typeof bound === 'string' && bound.length > BOUND_CHARACTERS_MAX
}

function haveSameColumns(a: Slice, b: Slice): boolean {
  return a.texts.size === b.texts.size && [...a.texts.keys()].every((column) => b.texts.has(column))
}
