// The plan: what to create, from what is wanted and what exists. A pure decision.

import { diffSchemas, type Schema } from './schema.ts'
import { diffSQL } from './sql.ts'

/** The names in the account. To the pipeline's SQL the stream and the sink are tables, so their names differ. */
export interface Names {
  readonly bucket: string
  readonly namespace: string
  readonly table: string
  readonly stream: string
  readonly sink: string
  readonly pipeline: string
}

export interface Wanted {
  readonly names: Names
  readonly schema: Schema
  /** The pipeline's SQL, with the account's names in it. */
  readonly sql: string
  /** How often the sink commits; by default as the sink does already, or Basin's own choice. */
  readonly rollIntervalSeconds?: number | undefined
}

export interface FoundStream {
  readonly id: string
  readonly schema?: Schema | undefined
  readonly takesBindings: boolean
}

export interface FoundSink {
  readonly type: string
  readonly bucket?: string | undefined
  readonly namespace?: string | undefined
  readonly table?: string | undefined
  readonly rollIntervalSeconds?: number | undefined
}

export interface FoundPipeline {
  readonly sql: string
  /** Why it does not run, if it does not. */
  readonly failure?: string | undefined
}

/** What exists in the account, and what the wrangler configuration binds. */
export interface Found {
  readonly hasBucket: boolean
  readonly hasCatalog: boolean
  readonly stream?: FoundStream | undefined
  readonly sink?: FoundSink | undefined
  readonly pipeline?: FoundPipeline | undefined
  /** The id of the stream that the configuration binds. */
  readonly boundStream?: string | undefined
  /** The service that the configuration binds in its place. */
  readonly boundService?: string | undefined
}

export type Resource = 'bucket' | 'catalog' | 'stream' | 'sink' | 'pipeline'

/** `binding` is the stream's id in the wrangler configuration. */
export interface Step<R extends string = Resource | 'binding'> {
  readonly resource: R
  readonly name: string
  /** Nothing in an account is ever changed or deleted: what exists and differs is a conflict. */
  readonly action: 'create' | 'write' | 'keep' | 'conflict'
  /** How a conflict, or what is to be written, differs from what is wanted. */
  readonly differences: readonly string[]
}

/** Lists the steps in the order in which they can be done. */
export function plan(wanted: Wanted, found: Found): Step[] {
  const { names } = wanted
  return [
    step('bucket', names.bucket, found.hasBucket ? [] : undefined),
    step('catalog', names.bucket, found.hasCatalog ? [] : undefined),
    step('stream', names.stream, found.stream && diffStream(wanted, found.stream)),
    step('sink', names.sink, found.sink && diffSink(wanted, found.sink)),
    step('pipeline', names.pipeline, found.pipeline && diffPipeline(wanted, found.pipeline)),
    bindingStep(names.stream, found),
  ]
}

/** Keeps what exists without differences, and creates what does not exist. */
export function step<R extends string>(resource: R, name: string, differences: readonly string[] | undefined): Step<R> {
  if (differences === undefined) return { resource, name, action: 'create', differences: [] }
  return { resource, name, action: differences.length === 0 ? 'keep' : 'conflict', differences }
}

function bindingStep(name: string, { stream, boundStream, boundService }: Found): Step {
  if (boundService !== undefined)
    return step('binding', name, [
      `the configuration binds it to the service ${boundService}: remove that, or name another with --binding`,
    ])
  if (stream !== undefined && stream.id === boundStream)
    return { resource: 'binding', name, action: 'keep', differences: [] }
  const differences = [`the configuration has ${boundStream ?? 'none'}, wanted is the id of ${name}`]
  return { resource: 'binding', name, action: 'write', differences }
}

function diffStream({ schema }: Wanted, found: FoundStream): string[] {
  const bindings = found.takesBindings ? [] : ['it does not take events from Workers (worker_binding is off)']
  return [...bindings, ...diffSchemas(schema, found.schema)]
}

function diffSink({ names, rollIntervalSeconds }: Wanted, found: FoundSink): string[] {
  // Basin's API still uses the product's old name.
  if (found.type !== 'r2_data_catalog') return [`its type is ${found.type}, which does not write into a catalog`]
  return [
    ...difference('bucket', names.bucket, found.bucket),
    ...difference('namespace', names.namespace, found.namespace),
    ...difference('table', names.table, found.table),
    ...(rollIntervalSeconds === undefined
      ? []
      : difference('roll interval in seconds', rollIntervalSeconds, found.rollIntervalSeconds)),
  ]
}

function diffPipeline({ sql }: Wanted, { sql: foundSQL, failure }: FoundPipeline): string[] {
  return [...(failure === undefined ? [] : [`it has failed: ${failure}`]), ...diffSQL(sql, foundSQL)]
}

function difference<T extends string | number>(what: string, wanted: T, found: T | undefined): string[] {
  return wanted === found ? [] : [`${what}: the account has ${found ?? 'none'}, wanted is ${wanted}`]
}
