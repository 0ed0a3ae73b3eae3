import { env } from 'cloudflare:workers'
import { runInDurableObject } from 'cloudflare:test'
import { CDCDurableObject, type CDCOptions, type CDCState, ExactlyOnceContext } from 'durable-outbox'
import { drizzle } from 'drizzle-orm/durable-sqlite'
import { describe, expect, it } from 'vitest'
import { acceptedRecords } from 'durable-outbox/testing'
import { failureOf } from '../notes.ts'
import type { Plain } from '../worker.ts'

function inPlain<T>(name: string, run: (state: DurableObjectState) => T | Promise<T>): Promise<T> {
  return runInDurableObject<Plain, T>(env.PLAIN.getByName(name), (_, state) => run(state))
}

class WithAlarm extends CDCDurableObject {
  override async alarm(): Promise<void> {}
}

function configured(options: CDCOptions): new (ctx: DurableObjectState, env: Cloudflare.Env) => CDCDurableObject {
  return class Configured extends CDCDurableObject {
    protected override configure(): CDCOptions {
      return options
    }
  }
}

describe('CDCDurableObject', () => {
  it('refuses a subclass with its own alarm(), which would stop the relay', async () => {
    const failure = await inPlain('own-alarm', (state) => failureOf(() => new WithAlarm(state, env)))
    expect(failure).toMatchObject({ code: 'invalid-config' })
    expect(failure.message).toContain('WithAlarm')
  })

  it.each<[string, CDCOptions, string]>([
    ['an empty ns', { ns: '' }, 'ns'],
    ['a batch of no events', { maxBatchEvents: 0 }, 'maxBatchEvents'],
    ['a batch beyond what Basin Pipelines takes', { maxBatchBytes: 6_000_000 }, 'maxBatchBytes'],
    ['a delay that is not a whole number', { lingerMs: 0.5 }, 'lingerMs'],
    ['delays the wrong way round', { minRetryDelayMs: 10, maxRetryDelayMs: 5 }, 'minRetryDelayMs'],
  ])('refuses %s and names the option', async (_, options, option) => {
    const failure = await inPlain('options', (state) => failureOf(() => new (configured(options))(state, env)))
    expect(failure.code).toBe('invalid-config')
    expect(failure.message).toContain(option)
  })

  it('uses the configured ns and source', async () => {
    await inPlain('named', async (state) => {
      const object = new (configured({ ns: 'startups.studio', source: 'DO/customers' }))(state, env)
      await (state as CDCState).transaction((tx) => tx.emit({ type: 'Customer.created' }))
      await object.alarm()
    })
    expect(acceptedRecords('startups.studio')).toMatchObject([
      { ns: 'startups.studio', source: 'DO/customers', lsn: 1 },
    ])
  })
})

describe('ExactlyOnceContext', () => {
  it('uses the id of an object without a name as its ns', async () => {
    const id = env.PLAIN.newUniqueId()
    await runInDurableObject<Plain, void>(env.PLAIN.get(id), async (_, state) => {
      const context = new ExactlyOnceContext(state)
      context.transactionSync((tx) => tx.emit({ type: 'A' }))
      await context.alarm()
    })
    expect(acceptedRecords(id.toString())).toHaveLength(1)
  })

  it('works over a drizzle database with a given ns', async () => {
    await inPlain('over-drizzle', async (state) => {
      const context = new ExactlyOnceContext(drizzle(state.storage), { ns: 'told' })
      context.transactionSync((tx) => tx.emit({ type: 'A' }))
      await context.alarm()
    })
    expect(acceptedRecords('told')).toHaveLength(1)
  })

  it('refuses a drizzle database without a ns', async () => {
    const failure = await inPlain('unknown-ns', (state) =>
      failureOf(() => new ExactlyOnceContext(drizzle(state.storage))),
    )
    expect(failure).toMatchObject({ code: 'invalid-config' })
    expect(failure.message).toContain('pass { ns }')
  })
})
