import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { extendConfig } from '../../src/cli/provision/extend-config.ts'
import {
  type FoundLake,
  type LakeStep,
  parseLakeConfig,
  planLake,
  type WantedLake,
} from '../../src/cli/provision/lake-plan.ts'
import type { ConfigFormat } from '../../src/cli/wrangler-config.ts'

const wanted: WantedLake = { bucket: 'cdc-events', table: 'cdc.events', binding: 'EVENTS_PIPELINE' }
const production: WantedLake = { ...wanted, environment: 'production' }
const complete: FoundLake = {
  hasBucket: true,
  catalog: { uri: 'https://catalog.cloudflarestorage.com/acc/cdc-events', warehouse: 'acc_cdc-events' },
  secrets: ['ADMIN_TOKEN', 'LAKE_CATALOG_TOKEN'],
}

function planFor(text: string, lake = wanted, found = complete, format: ConfigFormat = 'toml'): LakeStep[] {
  return planLake(lake, found, parseLakeConfig(text, format))
}

function stepOf(steps: readonly LakeStep[], name: string): LakeStep | undefined {
  return steps.find((step) => step.name === name)
}

/** Pieces of configurations that somebody may have written before, at the top level and in an environment. */
const TOML_PIECES = [
  '[vars]\nA = "1"\n',
  '[[r2_buckets]]\nbinding = "LAKE_BUCKET"\nbucket_name = "cdc-events"\n',
  '[[durable_objects.bindings]]\nname = "LAKE_TABLE"\nclass_name = "LakeTable"\n',
  '[[migrations]]\ntag = "v1"\nnew_sqlite_classes = ["Orders"]\n',
  '[[env.production.migrations]]\ntag = "v1"\nnew_sqlite_classes = ["LakeTable"]\n',
  '[env.production.vars] # ours\nA = "1"\nB = """\n[x]\n"""\n\n',
  '[[env.production.services]]\nbinding = "OTHER"\nservice = "other"\n',
]
const JSON_PIECES = [
  '"vars": { "A": "1" }',
  '/* ours */ "r2_buckets": [{ "binding": "LAKE_BUCKET", "bucket_name": "cdc-events" }]',
  '"durable_objects": { "bindings": [] }',
  '"migrations": [{ "tag": "v1", "new_sqlite_classes": ["Orders"] }]',
  '"env": { "production": { "vars": { "A": "1" } }, "staging": {} }',
]

const configuration: fc.Arbitrary<{ format: ConfigFormat; text: string }> = fc.oneof(
  fc
    .subarray(TOML_PIECES)
    .map((pieces) => ({ format: 'toml' as const, text: `name = "shop"\n\n${pieces.join('\n')}` })),
  fc
    .subarray(JSON_PIECES)
    .map((pieces) => ({ format: 'jsonc' as const, text: `{\n  ${['"name": "shop"', ...pieces].join(',\n  ')}\n}\n` })),
)

describe('the plan for a lake', () => {
  it('wants nothing more once its additions are in the configuration, which keeps what it had', () => {
    fc.assert(
      fc.property(configuration, fc.constantFrom(wanted, production), ({ format, text }, lake) => {
        const additions = planFor(text, lake, complete, format).flatMap(({ addition }) =>
          addition === undefined ? [] : [addition],
        )
        const extended = additions.reduce<string>(
          (current, addition) => extendConfig(current, format, addition) ?? '',
          text,
        )
        const steps = planFor(extended, lake, complete, format)
        expect(steps.map(({ action }) => action)).toEqual(steps.map(() => 'keep'))
        for (const word of text.match(/[^\s{}[\],]+/g) ?? []) expect(extended).toContain(word)
      }),
      { numRuns: 300 },
    )
  })

  it('adds a migration where the environment has its migrations from', () => {
    const inherited = '[[migrations]]\ntag = "v1"\n[env.production]\n'
    const own = '[[env.production.migrations]]\ntag = "v1"\n'
    const migration = { tag: 'durable-outbox-lake', new_sqlite_classes: ['LakeTable'] }
    const additionFor = (text: string) => stepOf(planFor(`name = "shop"\n${text}`, production), 'LakeTable')?.addition
    expect(additionFor(inherited)).toEqual({ migrations: [migration] })
    expect(additionFor(own)).toEqual({ env: { production: { migrations: [migration] } } })
  })

  it('leaves classes that are listed in exports to their owner', () => {
    const step = (text: string) => stepOf(planFor(`name = "shop"\n${text}`), 'LakeTable')
    expect(step('[exports.Orders]\ntype = "durable-object"\n')).toMatchObject({ action: 'conflict' })
    expect(step('[exports.LakeTable]\ntype = "durable-object"\n')).toMatchObject({ action: 'keep' })
  })

  it('names the table only if it is another than the default', () => {
    const steps = planFor('name = "shop"\n', { ...wanted, table: 'shop.log' })
    expect(stepOf(steps, 'LAKE_CATALOG_TABLE')?.addition).toEqual({ vars: { LAKE_CATALOG_TABLE: 'shop.log' } })
    expect(stepOf(planFor('name = "shop"\n'), 'LAKE_CATALOG_TABLE')).toBeUndefined()
    const other = planFor('name = "shop"\n[vars]\nLAKE_CATALOG_TABLE = "shop.log"\n')
    expect(stepOf(other, 'LAKE_CATALOG_TABLE')?.differences).toEqual([
      'LAKE_CATALOG_TABLE: the configuration has shop.log, wanted is cdc.events',
    ])
  })

  it('does not compare variables with a catalog that does not exist yet', () => {
    const text = 'name = "shop"\n[vars]\nLAKE_CATALOG_URI = "https://catalog.example"\n'
    const step = (found: FoundLake) => stepOf(planFor(text, wanted, found), 'LAKE_CATALOG_URI')
    expect(step({ ...complete, catalog: undefined })).toMatchObject({ action: 'keep' })
    expect(step(complete)).toMatchObject({ action: 'conflict' })
  })

  it('does not add a token beside a credential, which the lake would refuse', () => {
    const steps = planFor('name = "shop"\n', wanted, { ...complete, secrets: ['LAKE_CATALOG_CREDENTIAL'] })
    expect(stepOf(steps, 'LAKE_CATALOG_TOKEN')).toMatchObject({ action: 'conflict' })
  })

  it('says that variables at the top level are for wrangler dev too', () => {
    const details = (lake: WantedLake) => stepOf(planFor('name = "shop"\n', lake), 'LAKE_CATALOG_URI')?.differences
    expect(details(production)).toEqual(['the value is https://catalog.cloudflarestorage.com/acc/cdc-events'])
    expect(details(wanted)?.[1]).toContain('at the top level it is for wrangler dev too')
  })

  it('has no catalog in a jurisdiction: what is set for one is a conflict', () => {
    const text = 'name = "shop"\n[vars]\nLAKE_CATALOG_URI = "https://catalog.example"\nLAKE_LIMITS = "{}"\n'
    const steps = planFor(text, { ...wanted, jurisdiction: 'eu' })
    const conflicts = steps.filter(({ action }) => action === 'conflict').map(({ name }) => name)
    expect(conflicts).toEqual(['LAKE_CATALOG_TOKEN', 'LAKE_CATALOG_URI'])
    expect(steps.some(({ resource }) => resource === 'catalog')).toBe(false)
  })

  it('needs the name of the Worker, which the environment may give', () => {
    expect(() => planFor('main = "x"\n')).toThrow('the wrangler configuration has no name for the Worker')
    const steps = planFor('name = "shop"\n[env.production]\nname = "store"\n', production)
    expect(stepOf(steps, 'EVENTS_PIPELINE')?.addition).toEqual({
      env: { production: { services: [{ binding: 'EVENTS_PIPELINE', service: 'store', entrypoint: 'Lake' }] } },
    })
  })
})
