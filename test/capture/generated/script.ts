// Scripts as small plain data: a schema, and what happens to it. fast-check makes and shrinks them.

import * as fc from 'fast-check'
import type { Features } from './features.ts'
import { columnSpec, type ColumnSpec, mostlyFalse, type TableSpec, tableSpec } from './schema.ts'
import { type Statement, statements } from './statements.ts'
import { fewValue, type Value } from './values.ts'

export interface TriggerSpec {
  readonly table: number
  readonly timing: 'AFTER' | 'BEFORE'
  readonly on: 'INSERT' | 'UPDATE' | 'DELETE'
  readonly action: TriggerAction
  readonly column: number
  readonly other: number
  readonly value: Value
  readonly isOf: boolean
}
type TriggerAction = (typeof MILD)[number] | (typeof WILD)[number]
/** What capture must stand whenever the trigger was made, … */
const MILD = ['side', 'search', 'other insert', 'other update', 'other delete', 'abort', 'other row'] as const
/** … and what touches the row that the trigger fires for. */
const WILD = ['same row', 'delete row', 'ignore', 'fail', 'rekey', 'insert same', 'replace same'] as const

export interface Migration {
  readonly do: 'migrate'
  readonly kind:
    | 'add column'
    | 'rename column'
    | 'drop column'
    | 'rename table'
    | 'drop table'
    | 'rebuild'
    | 'add index'
    | 'drop index'
    | 'add column in text'
  readonly table: number
  readonly column: ColumnSpec
  readonly index: number
  readonly statement: Statement
}

export type By = 'ours' | 'platform'
type Part = Statement | { readonly do: 'emit' }

export type Step =
  | Statement
  | Migration
  | {
      readonly do: 'transact'
      readonly by: By
      readonly parts: readonly (
        | Part
        | { readonly do: 'inner'; readonly by: By; readonly parts: readonly Part[]; readonly fails: boolean }
      )[]
      readonly fails: boolean
      /** A statement that fails ends it. */
      readonly isAtomic: boolean
    }
  | { readonly do: 'text'; readonly statements: readonly Statement[] }
  | { readonly do: 'trigger'; readonly trigger: TriggerSpec }
  | { readonly do: 'drop trigger'; readonly trigger: number }
  | { readonly do: 'recursion'; readonly isOn: boolean }
  | {
      readonly do: 'wake'
      readonly before: readonly (Statement | Migration)[]
      readonly captures: boolean
      readonly stepsBack: boolean
    }
  | { readonly do: 'empty'; readonly wakes: boolean; readonly captures: boolean; readonly stepsBack: boolean }
  | {
      readonly do: 'snapshot'
      readonly table: number
      readonly chunk: number
      readonly during: readonly (Statement | Migration)[]
    }
  | { readonly do: 'flush' }

export interface ScriptSpec {
  readonly tables: readonly TableSpec[]
  readonly hasView: boolean
  /** A table beside for full text, to which triggers may write. */
  readonly hasSearch: boolean
  /** Made before capture. */
  readonly early: readonly TriggerSpec[]
  /** Made after it. */
  readonly late: readonly TriggerSpec[]
  /** Rows that are there before capture. */
  readonly rows: readonly Statement[]
  readonly steps: readonly Step[]
}

export function scriptSpecs(features: Features): fc.Arbitrary<ScriptSpec> {
  const statement = statements(features)
  const early = triggerSpec([...MILD, ...WILD])
  const late = triggerSpec(features.lateTriggers ? [...WILD, ...MILD] : MILD)
  return fc.record({
    tables: fc.array(tableSpec(features), { minLength: 1, maxLength: 3 }),
    hasView: mostlyFalse,
    hasSearch: mostlyFalse,
    early: someOf(early, 2),
    late: someOf(late, 2),
    rows: someOf(statement, 3),
    steps: fc.array(stepOf(features, statement, late), { minLength: 1, maxLength: 12, size: 'max' }),
  })
}

function someOf<Item>(item: fc.Arbitrary<Item>, maxLength: number): fc.Arbitrary<Item[]> {
  return fc.oneof(
    { weight: 2, arbitrary: fc.constant<Item[]>([]) },
    { weight: 1, arbitrary: fc.array(item, { minLength: 1, maxLength }) },
  )
}

function stepOf(
  features: Features,
  statement: fc.Arbitrary<Statement>,
  trigger: fc.Arbitrary<TriggerSpec>,
): fc.Arbitrary<Step> {
  const migration = migrationOf(features, statement)
  const alteration = migration.filter(({ kind }) => kind.includes('column') || kind.includes('index'))
  const stepsBack = features.clock ? fc.boolean() : fc.constant(false)
  const always = fc.constant(true)
  return fc.oneof(
    { weight: 24, arbitrary: statement },
    { weight: 5, arbitrary: transaction(statement) },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant('text' as const),
        statements: fc.array(statement, { minLength: 2, maxLength: 3 }),
      }),
    },
    { weight: 2, arbitrary: migration },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('trigger' as const), trigger }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('drop trigger' as const), trigger: fc.nat(3) }) },
    ...(features.usersRecursion
      ? [{ weight: 1, arbitrary: fc.record({ do: fc.constant('recursion' as const), isOn: fc.boolean() }) }]
      : []),
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant('wake' as const),
        before: features.wakeMigrations ? fc.array(fc.oneof(statement, migration), { maxLength: 2 }) : fc.constant([]),
        captures: features.forgottenCapture ? fc.integer({ min: 0, max: 3 }).map((n) => n < 3) : always,
        stepsBack,
      }),
    },
    ...(features.emptied
      ? [
          {
            weight: 1,
            arbitrary: fc.record({
              do: fc.constant('empty' as const),
              wakes: fc.boolean(),
              captures: fc.boolean(),
              stepsBack,
            }),
          },
        ]
      : []),
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant('snapshot' as const),
        table: fc.nat(2),
        chunk: fc.constantFrom(1, 2, 500),
        during: fc.array(fc.oneof({ weight: 3, arbitrary: statement }, { weight: 1, arbitrary: alteration }), {
          maxLength: 2,
        }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('flush' as const) }) },
  )
}

function transaction(statement: fc.Arbitrary<Statement>): fc.Arbitrary<Step> {
  const by = fc.constantFrom<By>('platform', 'ours')
  const part: fc.Arbitrary<Part> = fc.oneof(
    { weight: 5, arbitrary: statement },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('emit' as const) }) },
  )
  const inner = fc.record({
    do: fc.constant('inner' as const),
    by,
    parts: fc.array(part, { minLength: 1, maxLength: 2 }),
    fails: fc.boolean(),
  })
  return fc.record({
    do: fc.constant('transact' as const),
    by,
    parts: fc.array(fc.oneof({ weight: 5, arbitrary: part }, { weight: 1, arbitrary: inner }), {
      minLength: 1,
      maxLength: 4,
    }),
    fails: mostlyFalse,
    isAtomic: mostlyFalse,
  })
}

function migrationOf(features: Features, statement: fc.Arbitrary<Statement>): fc.Arbitrary<Migration> {
  const kinds: Migration['kind'][] = [
    'add column',
    'add column',
    'rename column',
    'drop column',
    'add index',
    'drop index',
    'rebuild',
    'drop table',
  ]
  if (features.renamedTables) kinds.push('rename table')
  if (features.schemaInText) kinds.push('add column in text')
  return fc.record({
    do: fc.constant('migrate' as const),
    kind: fc.constantFrom(...kinds),
    table: fc.nat(2),
    column: columnSpec(features),
    index: fc.nat(3),
    statement,
  })
}

function triggerSpec(actions: readonly TriggerAction[]): fc.Arbitrary<TriggerSpec> {
  return fc.record({
    table: fc.nat(2),
    timing: fc.constantFrom('AFTER' as const, 'AFTER' as const, 'BEFORE' as const),
    on: fc.constantFrom('INSERT' as const, 'UPDATE' as const, 'DELETE' as const),
    action: fc.constantFrom(...actions),
    column: fc.nat(3),
    other: fc.nat(2),
    value: fewValue,
    isOf: mostlyFalse,
  })
}
