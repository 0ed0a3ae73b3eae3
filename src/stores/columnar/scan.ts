// The rows of a selection, in SQL. Each chunk that its statistics don't rule out is unnested with json_each over one column;
// the values of the other columns have the same index in theirs. Names of columns never become SQL: a known one has an id, and
// an unknown one is null in every row.

import { jsonPathOf, unrepresentableField } from '../../sqlite/quote.ts'
import { invalid } from '../checks.ts'
import type { Bound } from './chunk.ts'
import { type Column, type Columns, type ColumnType, encoders, mismatch, typeOfValue } from './column.ts'
import { limits } from './limits.ts'

/** Where to read from. */
export interface Source {
  readonly table: string
  readonly columns: Columns
  /** Whether there can be no other columns: then any other name is a mistake. */
  readonly isClosed: boolean
  readonly caller: string
}

/** A `ColumnarSelection` of any type of rows. */
export interface Selection {
  readonly type?: unknown
  readonly partition?: string | undefined
  readonly where?: object | undefined
}

/** The condition on the bounds of a column under which it can have a value. */
type CanHold = (min: string, max: string, value: string) => string

interface Comparison {
  readonly test: string
  readonly canHold?: CanHold
}

const COMPARISONS: ReadonlyMap<string, Comparison> = new Map(
  Object.entries({
    $eq: { test: 'IS', canHold: (min, max, value) => `${value} BETWEEN ${min} AND ${max}` },
    $ne: { test: 'IS NOT' },
    $gt: { test: '>', canHold: (_, max, value) => `${max} > ${value}` },
    $gte: { test: '>=', canHold: (_, max, value) => `${max} >= ${value}` },
    $lt: { test: '<', canHold: (min, _, value) => `${min} < ${value}` },
    $lte: { test: '<=', canHold: (min, _, value) => `${min} <= ${value}` },
  } satisfies Record<string, Comparison>),
)

const canHoldAny: CanHold = (min, max, values) =>
  `EXISTS (SELECT 1 FROM json_each(${values}) WHERE value BETWEEN ${min} AND ${max})`

/** The rows of a selection, as a FROM clause that grows with the columns that are needed. */
export class Scan {
  readonly params: string[] = []
  readonly #source: Source
  /** The columns that are needed. json_each unnests the first one. */
  readonly #needed = new Set<Column>()
  readonly #chunkTests: string[] = []
  readonly #rowTests: string[] = []

  constructor(source: Source, { type, partition, where = {} }: Selection) {
    this.#source = source
    if (partition !== undefined) this.#chunkTests.push(`partition = ${this.#bind(partition)}`)
    if (type !== undefined) this.#addCondition('type', type)
    for (const [path, condition] of Object.entries(where)) this.#addCondition(path, condition)
  }

  /** Whether all rows of the chunks belong to the selection. */
  get isWhole(): boolean {
    return this.#rowTests.length === 0
  }

  /** The type of the value at a path: nothing for a value inside JSON, or a column that does not exist. */
  typeOf(path: string): ColumnType | undefined {
    const { column, inside } = this.#find(path)
    return inside === undefined ? column?.type : undefined
  }

  /** The value at a path, as a value of SQLite. */
  valueOf(path: string): string {
    const { column, inside } = this.#find(path)
    if (column === undefined) return 'NULL'
    this.#needed.add(column)
    const [unnested] = this.#needed
    if (inside !== undefined) return `(chunk.${column.id} -> cell.key) ->> ${this.#bind(inside)}`
    return column === unnested ? 'cell.value' : `chunk.${column.id} ->> cell.key`
  }

  /** The same, for uses that need a value that SQLite can compare. */
  scalarOf(path: string): string {
    if (this.typeOf(path) === 'json')
      throw this.#invalid(`${path} holds JSON, which has no order; use a path inside it, such as ${path}.name`)
    return this.valueOf(path)
  }

  /** The value at a path as JSON: the same text that was stored, so that no number is rounded. */
  jsonOf(path: string): string {
    const { column, inside } = this.#find(path)
    if (column === undefined) return 'NULL'
    this.#needed.add(column)
    const json = `chunk.${column.id} -> cell.key`
    return inside === undefined ? json : `(${json}) -> ${this.#bind(inside)}`
  }

  from(): string {
    const [unnested, ...others] = this.#needed
    const nulls = `substr(replace(hex(zeroblob(count)), '00', ',null'), 2)`
    const columns = [
      `jsonb('[' || ${unnested === undefined ? nulls : `coalesce(${unnested.id}, ${nulls})`} || ']') AS ${unnested?.id ?? 'nulls'}`,
      ...others.map(({ id }) => `jsonb('[' || ${id} || ']') AS ${id}`),
    ]
    // Each chunk is parsed once: LIMIT -1 keeps SQLite from doing it again for each of its rows. The rows come in the order of
    // the chunks, because the inner loop can't run before the outer one.
    return `FROM (SELECT partition, first, ${columns.join(', ')} ${this.fromHeads()} ORDER BY partition, first LIMIT -1) AS chunk
      CROSS JOIN json_each(chunk.${unnested?.id ?? 'nulls'}) AS cell ${whereClause(this.#rowTests)}`
  }

  /** The chunks that can have matching rows, without their values. */
  fromHeads(): string {
    return `FROM ${this.#source.table} ${whereClause(this.#chunkTests)}`
  }

  /** The condition on a chunk under which a comparison can succeed, as far as its statistics tell. */
  chunkTestOf(path: string, operator: string, operand: unknown): string {
    const { column, inside } = this.#find(path)
    const canHold = COMPARISONS.get(operator)?.canHold
    if (inside !== undefined || canHold === undefined) return '1'
    if (column === undefined) return '0'
    return boundsTest(column, canHold, this.#bindOperand(path, operand))
  }

  /** The least and the greatest value of several chunks; null if one of them has values but no bounds. */
  boundsOf(path: string): string[] {
    const { column, inside } = this.#find(path)
    if (column === undefined || inside !== undefined) return ['NULL', 'NULL']
    const { nulls, min, max } = statisticsOf(column)
    const isUnknown = `max(${min} IS NULL AND ${nulls} < count)`
    return [
      `CASE WHEN ${isUnknown} THEN NULL ELSE min(${min}) END`,
      `CASE WHEN ${isUnknown} THEN NULL ELSE max(${max}) END`,
    ]
  }

  #addCondition(path: string, condition: unknown): void {
    const comparisons = isComparison(condition) ? condition : { $eq: condition }
    for (const [operator, operand] of Object.entries(comparisons))
      if (operand !== undefined) this.#addComparison(path, operator, operand)
  }

  #addComparison(path: string, operator: string, operand: unknown): void {
    if (operator === '$in') return this.#addIn(path, operand)
    const comparison = COMPARISONS.get(operator)
    if (comparison === undefined)
      throw this.#invalid(
        `${path} can't be compared by ${operator}; the comparisons are ${[...COMPARISONS.keys()].join(', ')} and $in`,
      )
    const { test, canHold } = comparison
    if (operand === null) {
      if (!test.startsWith('IS')) throw this.#invalid(`${path}: ${operator} can't compare with null`)
      this.#rowTests.push(`${this.valueOf(path)} ${test} NULL`)
      return
    }
    const value = this.#bindOperand(path, operand)
    this.#rowTests.push(`${this.scalarOf(path)} ${test} ${value}`)
    if (canHold !== undefined) this.#addChunkTest(path, canHold, value)
  }

  #addIn(path: string, operand: unknown): void {
    if (!Array.isArray(operand) || operand.length > limits.inValues)
      throw this.#invalid(`${path}: $in must be an array of at most ${limits.inValues} values`)
    const values = this.#bind(JSON.stringify(operand.map((value: unknown) => this.#operand(path, value))))
    this.#rowTests.push(`${this.scalarOf(path)} IN (SELECT value FROM json_each(${values}))`)
    this.#addChunkTest(path, canHoldAny, values)
  }

  /** Skips the chunks in which no row can match. */
  #addChunkTest(path: string, canHold: CanHold, value: string): void {
    const { column, inside } = this.#find(path)
    if (column !== undefined && inside === undefined) this.#chunkTests.push(boundsTest(column, canHold, value))
  }

  /** As JSON, like stored values: so on both sides JavaScript wrote the number and SQLite reads it. */
  #bindOperand(path: string, value: unknown): string {
    return `(${this.#bind(JSON.stringify(this.#operand(path, value)))} ->> '$')`
  }

  /** A value to compare with, as it would be stored. */
  #operand(path: string, value: unknown): Bound {
    const type = this.typeOf(path) ?? typeOfValue(value) ?? 'string'
    const encoded = encoders[type === 'integer' ? 'number' : type](value)
    if (encoded === undefined || encoded === null || typeof encoded === 'object')
      throw this.#invalid(`${path} ${mismatch(type, value)}`)
    return encoded
  }

  #find(path: string): { column?: Column; inside?: string } {
    const { columns, isClosed } = this.#source
    const exact = columns.get(path)
    if (exact !== undefined) return { column: exact }
    for (let dot = path.indexOf('.'); dot !== -1; dot = path.indexOf('.', dot + 1)) {
      const column = columns.get(path.slice(0, dot))
      if (column?.type === 'json') return { column, inside: this.#jsonPath(path.slice(dot + 1)) }
    }
    if (isClosed) throw this.#invalid(`the schema has no column ${JSON.stringify(path)}`)
    return {}
  }

  #jsonPath(path: string): string {
    const fields = path.split('.')
    const escaped = unrepresentableField(fields)
    if (escaped === undefined) return jsonPathOf(fields)
    throw this.#invalid(
      `the field ${JSON.stringify(escaped)} can't be queried, as its name has a quote, a backslash or a control character`,
    )
  }

  #bind(value: string): string {
    this.params.push(value)
    if (this.params.length > limits.queryParameters)
      throw this.#invalid(
        `more than ${limits.queryParameters} values and paths inside JSON, the limit; split the query, or use $in`,
      )
    return `?${this.params.length}`
  }

  #invalid(problem: string): Error {
    return invalid(this.#source.caller, problem)
  }
}

function isComparison(condition: unknown): condition is Record<string, unknown> {
  return typeof condition === 'object' && condition !== null && !(condition instanceof Date)
}

/** The statistics of a column in SQL. */
function statisticsOf({ position }: Column): { nulls: string; min: string; max: string } {
  const at = (name: string): string => `(statistics ->> '$[${position}].${name}')`
  return { nulls: at('nulls'), min: at('min'), max: at('max') }
}

/** Without bounds, any chunk with values in the column can match. */
function boundsTest(column: Column, canHold: CanHold, value: string): string {
  const { nulls, min, max } = statisticsOf(column)
  return `CASE WHEN ${min} IS NULL THEN ${nulls} < count ELSE ${canHold(min, max, value)} END`
}

function whereClause(tests: readonly string[]): string {
  return tests.length === 0 ? '' : `WHERE ${tests.join(' AND ')}`
}
