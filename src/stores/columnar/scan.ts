// The rows of a selection, in SQL. Each chunk that its statistics don't rule out is unnested with json_each over one
// column; the values of the others stand at the same place in theirs. Names of columns never become SQL: a known one has
// an id, and an unknown one is null in every row.

import type { Bound } from './chunk.ts'
import { type Column, type Columns, type ColumnType, encoders, refusal, typeOfValue } from './column.ts'
import { COLUMNAR_IN_VALUES_MAX } from './query.ts'
import { invalid } from '../checks.ts'

/** Values that a statement compares with, and paths that it goes along inside JSON, together. SQLite binds 100. */
const PARAMETERS_MAX = 90

/** Where to read from. */
export interface Source {
  readonly table: string
  readonly columns: Columns
  /** Whether there can be no columns but these: then a name that is not among them is a mistake. */
  readonly isClosed: boolean
  /** `flights.query`, for errors. */
  readonly method: string
}

/** The types of the public interfaces serve the caller; here, names are names. */
export interface Selection {
  readonly type?: unknown
  readonly partition?: string | undefined
  readonly where?: object | undefined
}

/** What holds of the bounds of a column where it can have such a value. */
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

/** The rows of a selection, as a FROM clause that grows with what is asked of it. */
export class Scan {
  readonly params: string[] = []
  readonly #source: Source
  /** The columns that are needed. Over the first one goes json_each. */
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

  /** The type of what is at a path: nothing for a value inside JSON, or one of a column that is not there. */
  typeOf(path: string): ColumnType | undefined {
    const { column, inside } = this.#find(path)
    return inside === undefined ? column?.type : undefined
  }

  /** What is at a path, as a value of SQLite. */
  valueOf(path: string): string {
    const { column, inside } = this.#find(path)
    if (column === undefined) return 'NULL'
    this.#needed.add(column)
    const [unnested] = this.#needed
    if (inside !== undefined) return `(chunk.${column.id} -> cell.key) ->> ${this.#bind(inside)}`
    return column === unnested ? 'cell.value' : `chunk.${column.id} ->> cell.key`
  }

  /** The same, where only a value makes sense that SQLite can compare. */
  scalarOf(path: string): string {
    if (this.typeOf(path) === 'json')
      throw this.#invalid(`${path} holds JSON, which has no order; name a path inside it, such as ${path}.name`)
    return this.valueOf(path)
  }

  /** What is at a path, as JSON: the very text that was kept, so that no number is rounded. */
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
    // Each chunk is parsed once: LIMIT -1 keeps SQLite from doing it again for each of its rows. The rows come in the
    // order of the chunks, because the inner loop can't run before the outer one.
    return `FROM (SELECT partition, first, ${columns.join(', ')} ${this.fromHeads()} ORDER BY partition, first LIMIT -1) AS chunk
      CROSS JOIN json_each(chunk.${unnested?.id ?? 'nulls'}) AS cell ${whereClause(this.#rowTests)}`
  }

  /** The chunks that can have such rows, without their values. */
  fromHeads(): string {
    return `FROM ${this.#source.table} ${whereClause(this.#chunkTests)}`
  }

  /** What holds of a chunk in which a comparison can succeed, as far as its statistics tell. */
  chunkTestOf(path: string, operator: string, operand: unknown): string {
    const { column, inside } = this.#find(path)
    const canHold = COMPARISONS.get(operator)?.canHold
    if (inside !== undefined || canHold === undefined) return '1'
    if (column === undefined) return '0'
    return boundsTest(column, canHold, this.#bindOperand(path, operand))
  }

  /** The least and the greatest value of several chunks; null where one of them has values and no bounds. */
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
      throw this.#invalid(`${path}: there is no ${operator}; there are ${[...COMPARISONS.keys()].join(', ')} and $in`)
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
    if (!Array.isArray(operand) || operand.length > COLUMNAR_IN_VALUES_MAX)
      throw this.#invalid(`${path}: $in needs an array of at most ${COLUMNAR_IN_VALUES_MAX} values`)
    const values = this.#bind(JSON.stringify(operand.map((value: unknown) => this.#operand(path, value))))
    this.#rowTests.push(`${this.scalarOf(path)} IN (SELECT value FROM json_each(${values}))`)
    this.#addChunkTest(path, canHoldAny, values)
  }

  /** Passes over the chunks in which no row can be found. */
  #addChunkTest(path: string, canHold: CanHold, value: string): void {
    const { column, inside } = this.#find(path)
    if (column !== undefined && inside === undefined) this.#chunkTests.push(boundsTest(column, canHold, value))
  }

  /** As JSON, like the values that are kept: what JavaScript writes and SQLite reads is the same number on both sides. */
  #bindOperand(path: string, value: unknown): string {
    return `(${this.#bind(JSON.stringify(this.#operand(path, value)))} ->> '$')`
  }

  /** A value to compare with, as it would be kept. */
  #operand(path: string, value: unknown): Bound {
    const type = this.typeOf(path) ?? typeOfValue(value) ?? 'string'
    const encoded = encoders[type === 'integer' ? 'number' : type](value)
    if (encoded === undefined || encoded === null || typeof encoded === 'object')
      throw this.#invalid(`${path} ${refusal(type, value)}`)
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

  /** Quoted, so that nothing in it means anything to SQLite. */
  #jsonPath(path: string): string {
    if (path.includes('"')) throw this.#invalid(`${JSON.stringify(path)} has a quote in it`)
    return `$${path
      .split('.')
      .map((step) => `."${step}"`)
      .join('')}`
  }

  #bind(value: string): string {
    this.params.push(value)
    if (this.params.length > PARAMETERS_MAX)
      throw this.#invalid(`more than ${PARAMETERS_MAX} values and paths inside JSON; ask for less at once`)
    return `?${this.params.length}`
  }

  #invalid(problem: string): Error {
    return invalid(this.#source.method, problem)
  }
}

function isComparison(condition: unknown): condition is Record<string, unknown> {
  return typeof condition === 'object' && condition !== null && !(condition instanceof Date)
}

/** Where the statistics of a column stand in those of a chunk. */
function statisticsOf({ position }: Column): { nulls: string; min: string; max: string } {
  const at = (name: string): string => `(statistics ->> '$[${position}].${name}')`
  return { nulls: at('nulls'), min: at('min'), max: at('max') }
}

/** Where a column has no bounds, any chunk that has values in it can do. */
function boundsTest(column: Column, canHold: CanHold, value: string): string {
  const { nulls, min, max } = statisticsOf(column)
  return `CASE WHEN ${min} IS NULL THEN ${nulls} < count ELSE ${canHold(min, max, value)} END`
}

function whereClause(tests: readonly string[]): string {
  return tests.length === 0 ? '' : `WHERE ${tests.join(' AND ')}`
}
