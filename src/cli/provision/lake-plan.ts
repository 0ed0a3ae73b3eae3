// What a deployed lake needs, and the plan for what of it is missing. A pure decision.

import * as z from 'zod'
import { CDCError } from '../../error.ts'
import { type ConfigFormat, LAKE_BINDING } from '../wrangler-config.ts'
import { type Fragment, inEnvironment } from './extend-config.ts'
import { type Step, step } from './plan.ts'
import { parseConfigAs } from './worker-config.ts'

/** The secret, and the variable in the environment that its value is read from. */
export const CATALOG_TOKEN_NAME = 'LAKE_CATALOG_TOKEN'
/** Where `catalogConfig` of the lake expects the table if `LAKE_CATALOG_TABLE` is not set. */
export const DEFAULT_TABLE = 'cdc.events'
/** The variable that places the lake's object, in which events wait for their commit. */
const JURISDICTION = 'LAKE_JURISDICTION'
const OBJECT_BINDING = 'LAKE_TABLE'
const OBJECT_CLASS = 'LakeTable'
const MIGRATION_TAG = 'durable-outbox-lake'
const ENTRYPOINT = 'Lake'
const NOT_ONLY_DEPLOYED =
  'at the top level it is for wrangler dev too; an environment of its own leaves the local lake alone'

export interface WantedLake {
  readonly bucket: string
  /** Where the bucket must stay. Basin Catalog exists in none, so the lake then keeps its own catalog. */
  readonly jurisdiction?: string | undefined
  /** The table in the catalog, after its namespace. */
  readonly table: string
  /** The Worker's binding of the lake. */
  readonly binding: string
  /** The environment in the configuration; without one, its top level. */
  readonly environment?: string | undefined
}

/** What the account has of it. */
export interface FoundLake {
  readonly hasBucket: boolean
  readonly catalog?: { readonly uri: string; readonly warehouse: string } | undefined
  /** The names of the Worker's secrets. */
  readonly secrets: readonly string[]
}

export type LakeResource = 'bucket' | 'catalog' | 'secret'

export interface LakeStep extends Step<LakeResource | 'object' | 'migration' | 'variable' | 'binding'> {
  /** What to add to the wrangler configuration. */
  readonly addition?: Fragment | undefined
}

const bindingsShape = z.array(z.looseObject({ binding: z.string() })).default([])
const classesShape = z.record(z.string(), z.unknown()).optional()
const scopeShape = z.looseObject({
  name: z.string().optional(),
  vars: z.record(z.string(), z.unknown()).default({}),
  durable_objects: z.looseObject({ bindings: z.array(z.looseObject({ name: z.string() })).default([]) }).default({
    bindings: [],
  }),
  migrations: z.array(z.looseObject({ new_sqlite_classes: z.array(z.string()).default([]) })).optional(),
  exports: classesShape,
  r2_buckets: bindingsShape,
  services: bindingsShape,
  pipelines: bindingsShape,
})
const configShape = scopeShape.extend({ env: z.record(z.string(), scopeShape).default({}) })

export type LakeConfig = z.infer<typeof configShape>
type Scope = z.infer<typeof scopeShape>

export function parseLakeConfig(text: string, format: ConfigFormat): LakeConfig {
  return parseConfigAs(configShape, text, format)
}

/** Lists the steps in the order in which they can be done. */
export function planLake(wanted: WantedLake, found: FoundLake, config: LakeConfig): LakeStep[] {
  const { environment, bucket, jurisdiction } = wanted
  const scope = environment === undefined ? config : (config.env[environment] ?? scopeShape.parse({}))
  const hasCatalog = jurisdiction === undefined
  return [
    step('bucket', bucket, found.hasBucket ? [] : undefined),
    ...(hasCatalog ? [step('catalog', bucket, found.catalog === undefined ? undefined : [])] : []),
    ...(hasCatalog ? [secretStep(found)] : unwantedSecrets(found)),
    objectStep(wanted, scope),
    migrationStep(wanted, scope, config),
    bucketStep(wanted, scope),
    ...(hasCatalog ? variableSteps(wanted, found, scope) : unwantedVariables(scope)),
    ...(hasCatalog ? [] : [variableStep(wanted, scope, JURISDICTION, jurisdiction)]),
    serviceStep(wanted, scope, config),
  ]
}

function secretStep({ secrets }: FoundLake): LakeStep {
  if (secrets.includes('LAKE_CATALOG_CREDENTIAL'))
    return step('secret', CATALOG_TOKEN_NAME, [
      'the Worker has LAKE_CATALOG_CREDENTIAL, and the lake takes one of the two',
    ])
  return step('secret', CATALOG_TOKEN_NAME, secrets.includes(CATALOG_TOKEN_NAME) ? [] : undefined)
}

function objectStep({ environment }: WantedLake, scope: Scope): LakeStep {
  const entry = { name: OBJECT_BINDING, class_name: OBJECT_CLASS }
  const there = scope.durable_objects.bindings.find(({ name }) => name === OBJECT_BINDING)
  const addition = inEnvironment(environment, { durable_objects: { bindings: [entry] } })
  return configStep('object', OBJECT_BINDING, there && differencesOf(entry, there), addition)
}

/** An environment without migrations of its own has those of the top level, so that is where one more is added. */
function migrationStep({ environment }: WantedLake, scope: Scope, top: Scope): LakeStep {
  const classes = scope.exports ?? top.exports
  if (classes !== undefined) {
    const isThere = Object.hasOwn(classes, OBJECT_CLASS)
    const differences = isThere ? [] : [`the configuration lists its classes in exports; add ${OBJECT_CLASS} there`]
    return step('migration', OBJECT_CLASS, differences)
  }
  const isInherited = scope.migrations === undefined && top.migrations !== undefined
  const migrations = scope.migrations ?? top.migrations ?? []
  const isThere = migrations.some(({ new_sqlite_classes: names }) => names.includes(OBJECT_CLASS))
  const migration = { tag: MIGRATION_TAG, new_sqlite_classes: [OBJECT_CLASS] }
  const addition = inEnvironment(isInherited ? undefined : environment, { migrations: [migration] })
  return configStep('migration', OBJECT_CLASS, isThere ? [] : undefined, addition)
}

function bucketStep({ environment, bucket, jurisdiction }: WantedLake, scope: Scope): LakeStep {
  const entry = { binding: LAKE_BINDING, bucket_name: bucket }
  const there = scope.r2_buckets.find(({ binding }) => binding === LAKE_BINDING)
  const addition = inEnvironment(environment, {
    r2_buckets: [jurisdiction === undefined ? entry : { ...entry, jurisdiction }],
  })
  return configStep('binding', LAKE_BINDING, there && differencesOf({ ...entry, jurisdiction }, there), addition)
}

function serviceStep({ environment, binding }: WantedLake, scope: Scope, top: Scope): LakeStep {
  if (scope.pipelines.some((pipeline) => pipeline.binding === binding))
    return step('binding', binding, [
      'the configuration binds it to a stream of Basin Pipelines: remove that, or name another with --binding',
    ])
  const entry = { binding, service: workerName(environment, scope, top), entrypoint: ENTRYPOINT }
  const there = scope.services.find((service) => service.binding === binding)
  const addition = inEnvironment(environment, { services: [entry] })
  return configStep('binding', binding, there && differencesOf(entry, there), addition)
}

/** As wrangler names it. */
function workerName(environment: string | undefined, scope: Scope, { name }: Scope): string {
  if (name === undefined) throw new CDCError('invalid-config', 'the wrangler configuration has no name for the Worker')
  if (environment === undefined) return name
  return scope.name ?? `${name}-${environment}`
}

/** Before there is a catalog its address is not known, so what the configuration has is compared only afterwards. */
function variableSteps(lake: WantedLake, { catalog }: FoundLake, scope: Scope): LakeStep[] {
  const variable = (name: string, value: string | undefined) => variableStep(lake, scope, name, value)
  const isDefaultTable = lake.table === DEFAULT_TABLE && scope.vars['LAKE_CATALOG_TABLE'] === undefined
  return [
    variable('LAKE_CATALOG_URI', catalog?.uri),
    variable('LAKE_CATALOG_WAREHOUSE', catalog?.warehouse),
    ...(isDefaultTable ? [] : [variable('LAKE_CATALOG_TABLE', lake.table)]),
  ]
}

function variableStep({ environment }: WantedLake, scope: Scope, name: string, value: string | undefined): LakeStep {
  const there = scope.vars[name]
  const differences = value === undefined ? [] : differencesOf({ [name]: value }, { [name]: there })
  if (there !== undefined) return step('variable', name, differences)
  const wanted = value === undefined ? 'the new catalog gives the value' : `the value is ${value}`
  const details = environment === undefined ? [wanted, NOT_ONLY_DEPLOYED] : [wanted]
  const addition = value === undefined ? undefined : inEnvironment(environment, { vars: { [name]: value } })
  return { resource: 'variable', name, action: 'write', differences: details, addition }
}

/** A lake with any variable of a catalog does not keep its own. */
function unwantedVariables({ vars }: Scope): LakeStep[] {
  return catalogNames(Object.keys(vars)).map((name) =>
    step('variable', name, ['in a jurisdiction the lake keeps its own catalog: remove it from the configuration']),
  )
}

function unwantedSecrets({ secrets }: FoundLake): LakeStep[] {
  return catalogNames(secrets).map((name) =>
    step('secret', name, ['in a jurisdiction the lake keeps its own catalog: delete it with wrangler secret delete']),
  )
}

function catalogNames(names: readonly string[]): string[] {
  return names.filter((name) => name.startsWith('LAKE_CATALOG_'))
}

function configStep(
  resource: LakeStep['resource'],
  name: string,
  differences: readonly string[] | undefined,
  addition: Fragment,
): LakeStep {
  if (differences !== undefined) return step(resource, name, differences)
  return { resource, name, action: 'write', differences: [], addition }
}

/** Other keys, such as `remote`, are the owner's. */
function differencesOf(
  wanted: Readonly<Record<string, string | undefined>>,
  there: Readonly<Record<string, unknown>>,
): string[] {
  return Object.entries(wanted).flatMap(([key, value]) => {
    const found = there[key]
    if (found === value) return []
    const shown = typeof found === 'string' ? found : (JSON.stringify(found) ?? 'none')
    return [`${key}: the configuration has ${shown}, wanted is ${value ?? 'none'}`]
  })
}
