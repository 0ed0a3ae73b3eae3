// What whoever holds a stub can call: by name, so that a new method is closed until somebody opens it here.

import { env } from 'cloudflare:workers'
import { runInDurableObject } from 'cloudflare:test'
import { CDCDurableObject } from 'durable-outbox'
import { IngestBatches } from 'durable-outbox/ingest'
import { LakeTable } from 'durable-outbox/lake'
import { describe, expect, it } from 'vitest'

const CLASSES: {
  name: string
  stub: () => DurableObjectStub
  prototype: object
  open: readonly string[]
  closed: readonly string[]
}[] = [
  {
    name: 'CDCDurableObject',
    stub: () => env.NOTES.getByName('rpc'),
    prototype: CDCDurableObject.prototype,
    // `alarm` is reserved by the platform, which lets nobody call it.
    open: ['alarm', 'outbox'],
    closed: ['configure', 'onAlarm'],
  },
  {
    name: 'LakeTable',
    stub: () => env.LAKE_TABLE.getByName('rpc'),
    prototype: LakeTable.prototype,
    open: ['alarm', 'repair', 'send', 'status', 'version'],
    closed: ['configure', 'now'],
  },
  {
    name: 'IngestBatches',
    stub: () => env.INGEST_BATCHES.getByName('rpc'),
    prototype: IngestBatches.prototype,
    open: ['alarm', 'take'],
    closed: ['configure'],
  },
]

describe.each(CLASSES)('a stub of $name', ({ stub, prototype, open, closed }) => {
  it('reaches no method of the library that is not on the list', async () => {
    const own = await runInDurableObject(stub(), (object) => Object.getOwnPropertyNames(object))
    const reachable = Object.getOwnPropertyNames(prototype).filter(
      (name) => name !== 'constructor' && !own.includes(name),
    )
    expect(reachable.toSorted()).toEqual(open)
  })

  it.each(closed)('can not call %s', async (name) => {
    const call: unknown = Reflect.get(stub(), name)
    await expect(async () => typeof call === 'function' && (await call())).rejects.toThrow(
      `The RPC receiver does not implement the method "${name}"`,
    )
  })
})
