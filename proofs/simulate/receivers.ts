// What objects send to: the lake's binding with the lake's object and its bucket behind it, and for objects elsewhere the ingest
// over HTTP, with its own object, in front of the same lake.

import { createHash } from 'node:crypto'
import type { EventRecord, Pipeline } from 'durable-outbox'
import { IngestBatches, type IngestBatchesOptions, ingestRoutes } from 'durable-outbox/ingest'
import { Lake, type LakeLimits, LakeTable } from 'durable-outbox/lake'
import { ManagedPipeline } from 'durable-outbox/managed-pipeline'
import { FRESHNESS_MS } from './oracle.ts'
import { BucketStore } from './platform/bucket.ts'
import type { Callee, Network } from './platform/network.ts'
import type { ObjectClass } from './platform/instance.ts'
import type { ObjectHost } from './platform/object-host.ts'
import { type Platform, Worker } from './platform/platform.ts'
import { batchesOf, INGEST, isRemote, LAKE, WAY_TO_TABLE, wayToLake } from './script.ts'

const LAKE_LIMITS = {
  rollMs: 3_000,
  rollEvents: 400,
  maxCommitEvents: 100,
  holdMs: 8_000,
  freshnessMs: FRESHNESS_MS,
  // Some calls to the bucket take longer, and happen after they were given up.
  bucketMs: 2_000,
  snapshotsKept: 5,
  graceMs: 3_000,
  minCompactFiles: 8,
  maxManifests: 10,
  sweepMs: 15_000,
  orphanMs: 10_000,
  // Longer than clocks are set.
  seenMs: 30 * 86_400_000,
} as const

const BATCHES_LIMITS = { sendTimeoutMs: 1_500, rememberedMs: 5_000, maxBatches: 50 } as const
const ENDPOINT = 'https://ingest.example/'
/** Of nothing that exists. */
const TOKEN = 'simulated'
/** Shorter than an object waits. */
const HTTP_TIMEOUT_MS = 1_800

class SimulatedLakeTable extends LakeTable {
  readonly #now: () => number

  constructor(ctx: DurableObjectState, env: { LAKE_BUCKET: R2Bucket }, now: () => number) {
    super(ctx, env)
    this.#now = now
  }

  protected override configure(): LakeLimits {
    return { ...super.configure(), ...LAKE_LIMITS }
  }

  /** The constructor of the base class asks before there is a clock of its own. */
  protected override now(): number {
    return #now in this ? this.#now() : Date.now()
  }
}

class SimulatedBatches extends IngestBatches<{ options: IngestBatchesOptions }> {
  protected override configure(): IngestBatchesOptions {
    return this.env.options
  }
}

interface ReceiversPorts {
  readonly platform: Platform
  readonly network: Network
  readonly objects: readonly string[]
  readonly addHost: (name: string, create: ObjectClass) => void
  readonly host: (name: string) => ObjectHost
  readonly nowOf: (name: string) => number
  /** Called when the lake has taken something in. */
  readonly taken: () => void
}

export class Receivers {
  readonly bucket: BucketStore
  readonly #ports: ReceiversPorts
  readonly #entry: Worker
  readonly #ingest: Worker
  readonly #app

  constructor(ports: ReceiversPorts) {
    const { platform, network, objects, addHost, nowOf } = ports
    this.#ports = ports
    this.bucket = new BucketStore(() => platform.wallMs() - platform.clockOffsetMs)
    this.#entry = new Worker(platform, 'lake')
    this.#ingest = new Worker(platform, INGEST)
    this.#app = ingestRoutes(() => ({
      tokens: [{ name: 'objects', sha256: createHash('sha256').update(TOKEN).digest('hex'), ns: ['*'] }],
      batches: { getByName: (ns) => this.#batchesStub(ns) },
    }))
    platform.fetch = (url, init) => this.#fetch(url, init)
    const LAKE_BUCKET = this.bucket.bindingOf(platform, network)
    addHost(LAKE, (ctx) => new SimulatedLakeTable(ctx, { LAKE_BUCKET }, () => nowOf(LAKE)))
    for (const object of objects.filter(isRemote)) this.#addBatches(batchesOf(object))
  }

  /** Where an object's events go. */
  pipelineOf(object: string): Pipeline {
    if (!isRemote(object)) return this.#lakeFrom(object)
    return new ManagedPipeline({
      endpoint: ENDPOINT,
      authToken: TOKEN,
      timeoutMs: HTTP_TIMEOUT_MS,
      minGzipBytes: Infinity,
    })
  }

  /** The binding of the lake, as somebody has it. */
  #lakeFrom(name: string): Pipeline {
    const { platform, network } = this.#ports
    return {
      send: async (records) => {
        await network.call(platform.party, wayToLake(name), this.#lake(structuredClone(records)))
      },
    }
  }

  #lake(records: EventRecord[]): Callee {
    return this.#callee(this.#entry, async () => {
      if (records.some(({ type }) => type === 'Poison'))
        throw Object.assign(new Error('the batch contains poison'), { status: 422 })
      const LAKE_TABLE = { getByName: () => this.#tableStub() }
      // Both have what the entrypoint uses of them.
      const lake = new Lake({} as ExecutionContext, { LAKE_TABLE } as unknown as ConstructorParameters<typeof Lake>[1])
      await lake.send(records)
    })
  }

  #tableStub() {
    const { network, host, taken } = this.#ports
    return {
      send: async (json: string) => {
        await network.call(this.#entry, WAY_TO_TABLE, host(LAKE).method('send', [json]))
        taken()
      },
    }
  }

  #addBatches(name: string): void {
    const { addHost, nowOf } = this.#ports
    const options = { ...BATCHES_LIMITS, pipeline: this.#lakeFrom(name), now: () => nowOf(name) }
    addHost(name, (ctx) => new SimulatedBatches(ctx, { options }))
  }

  #batchesStub(ns: string) {
    const { network, host } = this.#ports
    type Take = IngestBatches['take']
    return {
      // The object's own answer.
      take: (batch: Parameters<Take>[0]) =>
        network.call(
          this.#ingest,
          `${INGEST}>${batchesOf(ns)}`,
          host(batchesOf(ns)).method('take', [batch]),
        ) as ReturnType<Take>,
    }
  }

  async #fetch(url: string, init: RequestInit): Promise<Response> {
    const { platform, network } = this.#ports
    const { party } = platform
    const { signal, ...rest } = init
    const { promise: aborted, reject } = Promise.withResolvers<never>()
    signal?.addEventListener('abort', () => reject(signal.reason))
    const callee = this.#callee(this.#ingest, async () => {
      const response = await this.#app.fetch(new Request(url, rest), {})
      return { status: response.status, headers: [...response.headers], body: await response.text() }
    })
    const answer = await Promise.race([network.call(party, `${party.name}>${INGEST}`, callee), aborted])
    // As it was made above.
    const { body, ...head } = answer as { status: number; headers: [string, string][]; body: string }
    return new Response(body, head)
  }

  /** Runs a request as a Worker's. */
  #callee(worker: Worker, run: () => Promise<unknown>): Callee {
    return {
      take: (reply) =>
        this.#ports.platform.as(worker, () => {
          run().then(
            (value) => reply({ value }),
            (error: unknown) => reply({ error }),
          )
        }),
    }
  }
}
