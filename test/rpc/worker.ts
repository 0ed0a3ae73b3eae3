// A Worker that holds stubs of objects and tries every name that they have, as another Worker with the binding could.

import { CDCDurableObject, type CDCOptions } from 'durable-outbox'
import { IngestBatches, type IngestBatchesOptions } from 'durable-outbox/ingest'
import { Lake as LakeEntrypoint, LakeIntake as Intake, LakeTable as Table, type LakeLimits } from 'durable-outbox/lake'
import { OutboxFleet as Fleet } from 'durable-outbox/fleet'
import { OutboxTail } from 'durable-outbox/tail'

const pipeline = { send: async () => undefined }

/** All names on the prototype chain of an object and on itself, except those of every object. */
function namesOf(instance: object): string[] {
  const names = new Set<string>(Object.getOwnPropertyNames(instance))
  for (let link: unknown = Object.getPrototypeOf(instance); link instanceof Object; link = Object.getPrototypeOf(link))
    if (link !== Object.prototype) for (const name of Object.getOwnPropertyNames(link)) names.add(name)
  // Miniflare's own are there on this machine only.
  return [...names].filter((name) => name !== 'constructor' && !name.startsWith('__miniflare'))
}

/** Overrides all that it may, and adds a method of its own. */
export class Shop extends CDCDurableObject {
  override configure(): CDCOptions {
    return { pipeline }
  }
  override onAlarm(): void {}
  hello(): string {
    return `hello, and ${this.configure().pipeline === undefined ? 'no' : 'a'} pipeline`
  }
  names(): string[] {
    return namesOf(this)
  }
}

/** Overrides nothing. */
export class Plain extends CDCDurableObject {
  names(): string[] {
    return namesOf(this)
  }
}

export class Batches extends IngestBatches {
  override configure(): IngestBatchesOptions {
    return { pipeline }
  }
  names(): string[] {
    return namesOf(this)
  }
}

export class LakeTable extends Table {
  override configure(): LakeLimits {
    return { ...super.configure(), rollMs: 1_000 }
  }
  override now(): number {
    return super.now()
  }
  names(): string[] {
    return namesOf(this)
  }
}

export class LakeIntake extends Intake {
  names(): string[] {
    return namesOf(this)
  }
}

export class OutboxFleet extends Fleet {
  override now(): number {
    return super.now()
  }
  names(): string[] {
    return namesOf(this)
  }
}

export class Tail extends OutboxTail {
  override lake(): unknown {
    return super.lake()
  }
  override now(): number {
    return super.now()
  }
  names(): string[] {
    return namesOf(this)
  }
}

export class Lake extends LakeEntrypoint {
  names(): string[] {
    return namesOf(this)
  }
}

type Callable = Record<string, (argument?: unknown) => Promise<unknown>> & { names(): Promise<string[]> }
const OBJECTS = ['SHOP', 'PLAIN', 'BATCHES', 'LAKE_TABLE', 'LAKE_INTAKE', 'OUTBOX_TAIL', 'OUTBOX_FLEET'] as const

type Bindings = Record<(typeof OBJECTS)[number], DurableObjectNamespace> & {
  LAKE: Fetcher
}

/** The names that lead to something: a method that runs or throws an error of its own, or a property. */
async function openNames(stub: Callable): Promise<string[]> {
  const open: string[] = []
  for (const name of await stub.names()) {
    const outcome = await Promise.resolve()
      .then(() => stub[name]?.())
      .then(
        () => 'it ran',
        (error: unknown) => String(error),
      )
    if (!/does not implement|reserved/.test(outcome)) open.push(name)
  }
  return open.toSorted()
}

export default {
  async fetch(request: Request, env: Bindings): Promise<Response> {
    const stubs: Record<string, unknown> = {
      ...Object.fromEntries(OBJECTS.map((name) => [name, env[name].getByName('cdc.events')])),
      LAKE: env.LAKE,
    }
    const stub = stubs[new URL(request.url).pathname.slice(1)] as Callable | undefined
    if (stub === undefined) return new Response('a binding is missing', { status: 404 })
    if (request.method === 'POST') return Response.json(await stub['hello']?.())
    return Response.json(await openNames(stub))
  },
}
