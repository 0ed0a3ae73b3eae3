// What can be called over RPC, in real workerd: the test pool looks methods up in another way. Every name on the prototype
// chain is tried, so a method that is added later is closed or listed here.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Runtime } from '../../proofs/harness/runtime.ts'

describe('a stub', () => {
  const state = mkdtempSync(join(tmpdir(), 'durable-outbox-rpc-'))
  let worker: Runtime

  beforeAll(async () => {
    worker = await Runtime.start({ state, config: join(import.meta.dirname, 'wrangler.toml') })
  })

  afterAll(async () => {
    await worker.kill()
    rmSync(state, { recursive: true, force: true })
  })

  /** `names` is the method by which the objects of this test tell their names. */
  it.each([
    ['an object with an outbox', 'SHOP', ['hello', 'names', 'outbox']],
    ['an object that overrides nothing', 'PLAIN', ['names', 'outbox']],
    ["the ingest's object", 'BATCHES', ['names', 'take']],
    [
      "the lake's object",
      'LAKE_TABLE',
      'admit enter fileTarget layout names offer recall recover renounce repair send settled status version'.split(' '),
    ],
    ["a shard of the lake's", 'LAKE_INTAKE', ['close', 'names', 'recall', 'refresh', 'retire', 'send', 'status']],
    ["the lake's binding", 'LAKE', ['names', 'recover', 'repair', 'send', 'status', 'version']],
  ])('[I8] of %s reaches no method but those that are meant for it', async (_, binding, open) => {
    expect(await (await fetch(`${worker.url}/${binding}`)).json()).toEqual(open)
  })

  it('takes nothing from the object, which still calls its own methods', async () => {
    const answer = await fetch(`${worker.url}/SHOP`, { method: 'POST' })
    expect(await answer.json()).toBe('hello, and a pipeline')
  })
})
