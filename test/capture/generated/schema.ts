// Schemas as small plain data, which fast-check shrinks well, and what becomes of them: tables whose columns are known
// to the statements that come after. Numbers that name a column or a table count modulo how many there are.

import * as fc from 'fast-check'
import type { Features } from './features.ts'
import type { Mode } from './documented.ts'
import { type Collation, type ColumnType, type Value, value, type ValueColumn, valueSQL } from './values.ts'

const KEYS = [
  'integer',
  'text',
  'none',
  'composite',
  'blob',
  'int',
  'autoincrement',
  'descending',
  'typeless',
  'numeric',
  'real',
  'nocase',
  'rtrim',
  'composite odd',
  'composite turned',
  'composite long',
  'integer replace',
] as const
type KeyKind = (typeof KEYS)[number]

export interface ColumnSpec {
  readonly name: number
  readonly type: ColumnType
  /** Its type by another name, of the same affinity. */
  readonly isSpelled: boolean
  readonly constraint: (typeof CONSTRAINTS)[number]
  readonly collate: 'none' | Collation
  readonly generated: 'none' | 'VIRTUAL' | 'STORED'
  readonly mode: 'none' | Mode
  readonly value: Value
}

const CONSTRAINTS = [
  'none',
  'default',
  'not null',
  'not null default',
  'not null default unique',
  'not null replace',
  'unique',
  'unique replace',
  'unique ignore',
  'check',
] as const

interface ForeignKeySpec {
  readonly parent: number
  readonly onDelete: Action
  readonly onUpdate: Action
  readonly isDeferred: boolean
}
type Action = (typeof ACTIONS)[number]
const ACTIONS = ['CASCADE', 'SET NULL', 'SET DEFAULT', 'RESTRICT', 'NO ACTION'] as const

interface IndexSpec {
  readonly column: number
  readonly isUnique: boolean
  readonly isPartial: boolean
  readonly of: 'column' | 'expression' | 'two columns' | 'other collation'
}

export interface TableSpec {
  readonly name: number
  readonly key: KeyKind
  readonly isWithoutRowid: boolean
  readonly isStrict: boolean
  readonly columns: readonly ColumnSpec[]
  readonly foreignKey: ForeignKeySpec | null
  readonly index: IndexSpec | null
  readonly isCaptured: boolean
}

export interface Column extends ValueColumn {
  name: string
  readonly definition: string
  /** Nothing can be written to it. */
  readonly isGenerated: boolean
  /** Something depends on it, so that it can't be dropped. */
  isUsed: boolean
}

/** A table or a view, as far as statements are concerned. */
export interface Table {
  name: string
  columns: Column[]
  readonly hasRowid: boolean
  readonly isView: boolean
  readonly isCaptured: boolean
  /** What stands after the columns. */
  readonly constraints: string
  readonly options: string
  index?: { readonly column: Column; readonly spec: IndexSpec }
  readonly isDeferred: boolean
}

const types: readonly ColumnType[] = ['TEXT', 'INTEGER', 'REAL', 'BLOB', 'NUMERIC', '', 'ANY']

export function columnSpec(features: Features): fc.Arbitrary<ColumnSpec> {
  return fc.record({
    name: mostlyZero(fc.nat(NAMES.length - 1)),
    type: fc.constantFrom(...types),
    isSpelled: mostlyFalse,
    constraint: fc.constantFrom<ColumnSpec['constraint']>('none', 'none', ...CONSTRAINTS),
    collate: features.collations
      ? fc.constantFrom<ColumnSpec['collate']>('none', 'none', 'NOCASE', 'RTRIM')
      : fc.constant('none'),
    generated: fc.constantFrom<ColumnSpec['generated']>('none', 'none', 'none', 'none', 'none', 'VIRTUAL', 'STORED'),
    mode: fc.constantFrom<ColumnSpec['mode']>(
      'none',
      'none',
      'none',
      'none',
      'none',
      'none',
      'json',
      'boolean',
      'timestamp',
      'timestamp_ms',
    ),
    value,
  })
}

export function tableSpec(features: Features): fc.Arbitrary<TableSpec> {
  const keys = KEYS.filter(
    (key) =>
      (features.collations || (key !== 'nocase' && key !== 'rtrim')) && (features.oddKeys || key !== 'composite odd'),
  )
  const action = fc.constantFrom(...ACTIONS)
  return fc.record({
    name: mostlyZero(fc.nat(TABLE_NAMES.length - 1)),
    key: fc.oneof(
      { weight: 1, arbitrary: fc.constant<KeyKind>('integer') },
      { weight: 3, arbitrary: fc.constantFrom<KeyKind>(...keys) },
    ),
    isWithoutRowid: mostlyFalse,
    isStrict: mostlyFalse,
    columns: fc.array(columnSpec(features), { minLength: 1, maxLength: 4 }),
    foreignKey: fc.option(
      fc.record({ parent: fc.nat(2), onDelete: action, onUpdate: action, isDeferred: mostlyFalse }),
      { freq: 2, nil: null },
    ),
    index: fc.option(
      fc.record({
        column: fc.nat(3),
        isUnique: fc.boolean(),
        isPartial: fc.boolean(),
        of: fc.constantFrom<IndexSpec['of']>('column', 'column', 'expression', 'two columns', 'other collation'),
      }),
      {
        freq: 1,
        nil: null,
      },
    ),
    isCaptured: fc.integer({ min: 0, max: 6 }).map((n) => n < 6),
  })
}

export const mostlyFalse = fc.integer({ min: 0, max: 4 }).map((n) => n === 4)

function mostlyZero(others: fc.Arbitrary<number>): fc.Arbitrary<number> {
  return fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: others })
}

const TABLE_NAMES = ['t', 'user data', 'Ünï', 'ünï', 'select', 'a"b', "it's", 'x%_y', 'T$', '[b]']
const NAMES = [
  '',
  'select',
  'x y',
  'q"t',
  "it's",
  'é😀',
  'a\\b',
  'KEY',
  '$hex',
  'new',
  'a.b',
  '_rowid_',
  'oid',
  'rowid',
]
const SHADOWS = ['_rowid_', 'oid', 'rowid']

/** A name as it stands in SQL: bare where it may. */
export function quote(name: string): string {
  return /^[a-z][a-z0-9_]*$/.test(name) && !KEYWORDS.has(name) ? name : `"${name.replaceAll('"', '""')}"`
}
const KEYWORDS = new Set(['select', 'key', 'new', 'rowid', 'oid'])

/** Tables of their specs, in order: a foreign key refers to one that comes before it, or to its own. */
export function createTables(specs: readonly TableSpec[], features: Features): Table[] {
  const tables: Table[] = []
  for (const spec of specs) tables.push(createTable(spec, tables, features))
  return tables
}

function createTable(spec: TableSpec, before: readonly Table[], features: Features): Table {
  const place = before.length
  const odd = TABLE_NAMES[spec.name] ?? 't'
  const name = before.some((table) => table.name === odd) || odd === 't' ? `t${place + 1}` : odd
  const key = keyColumns(spec, features)
  const columns = [...key]
  for (const [index, column] of spec.columns.entries())
    columns.push(createColumn(column, { index, columns, spec, features }))
  const hasRowid = !(spec.isWithoutRowid && key.length > 0 && spec.key !== 'autoincrement')
  const self: Table = {
    name,
    columns,
    hasRowid,
    isView: false,
    isCaptured: spec.isCaptured,
    constraints: '',
    options: '',
    isDeferred: false,
  }
  const reference = foreignKey(spec, [...before, self], features)
  if (reference !== undefined) columns.push(reference.column)
  const indexed = spec.index === null ? undefined : columns[spec.index.column % columns.length]
  if (indexed !== undefined) indexed.isUsed = true
  const options = [...(hasRowid ? [] : ['WITHOUT ROWID']), ...(spec.isStrict ? ['STRICT'] : [])].join(', ')
  return {
    ...self,
    constraints: [primaryKey(spec, key), reference?.constraint ?? ''].filter((each) => each !== '').join(', '),
    options,
    isDeferred: reference?.isDeferred ?? false,
    ...(indexed !== undefined && spec.index !== null && { index: { column: indexed, spec: spec.index } }),
  }
}

export function createTableSQL({ name, columns, constraints, options }: Table, as = name): string {
  const parts = columns.map((column) => `${quote(column.name)} ${column.definition}`.trimEnd())
  if (constraints !== '') parts.push(constraints)
  return `CREATE TABLE ${quote(as)} (${parts.join(', ')})${options === '' ? '' : ` ${options}`}`
}

export function createIndexSQL({ name, index, columns }: Table): string[] {
  if (index === undefined) return []
  const { column, spec } = index
  const first = quote(column.name)
  const indexed = {
    column: first,
    expression: `lower(${first})`,
    'two columns': `${first} DESC, ${quote(columns[0]?.name ?? column.name)}`,
    'other collation': `${first} COLLATE NOCASE`,
  }[spec.of]
  const where = spec.isPartial ? ` WHERE ${quote(column.name)} IS NOT NULL` : ''
  return [`CREATE ${spec.isUnique ? 'UNIQUE ' : ''}INDEX ${quote(`${name} i`)} ON ${quote(name)} (${indexed})${where}`]
}

export function keyOf(table: Table): Column[] {
  return table.columns.filter((column) => column.isKey)
}

function keyColumns({ key, isStrict }: TableSpec, features: Features): Column[] {
  const column = (name: string, type: ColumnType, rest: string, collate?: Collation): Column => ({
    name,
    type,
    definition: `${typeName(type, isStrict)}${collate === undefined ? '' : ` COLLATE ${collate}`}${rest}`,
    isKey: true,
    collate,
    isStrict,
    isGenerated: false,
    isUsed: true,
  })
  switch (key) {
    case 'none':
      return []
    case 'integer':
      return [column('id', 'INTEGER', ' PRIMARY KEY')]
    case 'integer replace':
      return [column('id', 'INTEGER', ' PRIMARY KEY ON CONFLICT REPLACE')]
    case 'autoincrement':
      return [column('id', 'INTEGER', ' PRIMARY KEY AUTOINCREMENT')]
    case 'descending':
      return [column('id', 'INTEGER', ' PRIMARY KEY DESC')]
    case 'int':
      return [{ ...column('id', 'INTEGER', ''), definition: 'INT PRIMARY KEY' }]
    case 'text':
      return [column('id', 'TEXT', ' PRIMARY KEY')]
    case 'nocase':
      return [column('id', 'TEXT', ' PRIMARY KEY', 'NOCASE')]
    case 'rtrim':
      return [column('id', 'TEXT', ' PRIMARY KEY', 'RTRIM')]
    case 'blob':
      return [column('id', 'BLOB', ' PRIMARY KEY')]
    case 'real':
      return [column('id', 'REAL', ' PRIMARY KEY')]
    case 'numeric':
      return [column('id', isStrict ? 'ANY' : 'NUMERIC', ' PRIMARY KEY')]
    case 'typeless':
      return [column('id', isStrict ? 'ANY' : '', ' PRIMARY KEY')]
    case 'composite':
    case 'composite turned':
      return [column('k', 'TEXT', ''), column('l', 'INTEGER', '')]
    case 'composite long':
      return [column('k', 'TEXT', ''), ...['l', 'm', 'n', 'o'].map((name) => column(name, 'INTEGER', ''))]
    case 'composite odd':
      return [
        column('k', 'REAL', ''),
        column('l', 'BLOB', ''),
        ...(features.collations ? [column('m', 'TEXT', '', 'NOCASE')] : []),
      ]
  }
}

function primaryKey({ key }: TableSpec, columns: readonly Column[]): string {
  if (!key.startsWith('composite')) return ''
  const ordered = key === 'composite turned' ? columns.toReversed() : columns
  return `PRIMARY KEY (${ordered.map(({ name }) => quote(name)).join(', ')})`
}

function typeName(type: ColumnType, isStrict: boolean): string {
  return isStrict && (type === '' || type === 'NUMERIC') ? 'ANY' : type
}

interface Place {
  readonly index: number
  readonly columns: readonly Column[]
  readonly spec: Pick<TableSpec, 'isStrict'>
  readonly features: Features
}

/** Words that define a column, and what is known of it. */
function createColumn(spec: ColumnSpec, { index, columns, spec: { isStrict }, features }: Place): Column {
  const odd = NAMES[spec.name] ?? ''
  const isTaken = columns.some((column) => column.name.toLowerCase() === odd.toLowerCase())
  const isUsable = odd !== '' && !isTaken && (features.rowidColumns || !SHADOWS.includes(odd))
  return defineColumn(isUsable ? odd : 'abcdefgh'.charAt(index), spec, { columns, isStrict, features })
}

const SPELLED = {
  TEXT: 'VARCHAR(9)',
  INTEGER: 'FLOATING POINT',
  REAL: 'DOUBLE PRECISION',
  BLOB: 'BLOB',
  NUMERIC: 'DATETIME',
  ANY: 'DECIMAL(10, 2)',
  '': '',
} as const
const MODE_TYPES = { json: 'TEXT', boolean: 'INTEGER', timestamp: 'INTEGER', timestamp_ms: 'INTEGER' } as const

/** A column of its own name, also for `ALTER TABLE ADD COLUMN`. */
export function defineColumn(
  name: string,
  spec: ColumnSpec,
  { columns, isStrict, features }: { columns: readonly Column[]; isStrict: boolean; features: Features },
): Column {
  const source = columns.find((column) => !column.isGenerated && !column.isKey)
  if (spec.generated !== 'none' && source !== undefined) {
    source.isUsed = true
    return {
      name,
      type: 'TEXT',
      definition: `TEXT AS (quote(${quote(source.name)})) ${spec.generated}`,
      isKey: false,
      isGenerated: true,
      isUsed: true,
    }
  }
  const mode = spec.mode === 'none' ? undefined : spec.mode
  const type = mode === undefined ? spec.type : MODE_TYPES[mode]
  const collate = spec.collate === 'none' || type !== 'TEXT' || mode !== undefined ? undefined : spec.collate
  const base = { name, type, collate, mode, isStrict, isKey: false, isGenerated: false }
  const words = [spec.isSpelled && !isStrict ? SPELLED[type] : typeName(type, isStrict)]
  if (collate !== undefined) words.push(`COLLATE ${collate}`)
  words.push(...constraint(name, spec, valueSQL({ ...spec.value, pool: 'few' }, base, features)))
  const isUsed = spec.constraint.includes('unique') || spec.constraint === 'check'
  return { ...base, definition: words.filter((word) => word !== '').join(' '), isUsed }
}

function constraint(name: string, { constraint: kind }: ColumnSpec, literal: string): string[] {
  switch (kind) {
    case 'none':
      return []
    case 'default':
      return [`DEFAULT (${literal})`]
    case 'not null':
      return ['NOT NULL']
    case 'not null default':
      return literal === 'NULL' ? ['NOT NULL'] : [`NOT NULL DEFAULT (${literal})`]
    case 'not null default unique':
      return literal === 'NULL' ? ['NOT NULL UNIQUE'] : [`NOT NULL DEFAULT (${literal}) UNIQUE`]
    case 'not null replace':
      return [`NOT NULL ON CONFLICT REPLACE DEFAULT (${literal})`]
    case 'unique replace':
      return ['UNIQUE ON CONFLICT REPLACE']
    case 'unique ignore':
      return ['UNIQUE ON CONFLICT IGNORE']
    case 'unique':
      return ['UNIQUE']
    case 'check':
      return [`CHECK (${quote(name)} IS NOT ${literal})`]
  }
}

/** A column that refers to the key of another table, or of its own. */
function foreignKey(
  { foreignKey: spec, isStrict }: TableSpec,
  tables: readonly Table[],
  features: Features,
): { column: Column; constraint: string; isDeferred: boolean } | undefined {
  if (spec === null) return undefined
  const index = spec.parent % tables.length
  const parent = tables[index]
  if (parent === undefined || (index === tables.length - 1 && !features.selfReferences)) return undefined
  const [key, ...others] = keyOf(parent)
  if (key === undefined || others.length > 0) return undefined
  const fallback = valueSQL({ pool: 'few', n: 0 }, key, features)
  const deferred = spec.isDeferred ? ' DEFERRABLE INITIALLY DEFERRED' : ''
  return {
    column: {
      name: 'parent',
      type: key.type,
      definition: `${typeName(key.type, isStrict)} DEFAULT (${fallback})`.trimStart(),
      isKey: false,
      isReference: true,
      collate: key.collate,
      isGenerated: false,
      isUsed: true,
    },
    constraint:
      `FOREIGN KEY (parent) REFERENCES ${quote(parent.name)} (${quote(key.name)}) ` +
      `ON DELETE ${spec.onDelete} ON UPDATE ${spec.onUpdate}${deferred}`,
    isDeferred: spec.isDeferred,
  }
}
