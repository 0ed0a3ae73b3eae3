declare namespace Cloudflare {
  interface Env {
    EVENTS_PIPELINE: Service<import('durable-outbox/testing').FakePipeline>
    LAKE: Service<import('durable-outbox/lake').Lake>
    LAKE_BUCKET: R2Bucket
    LAKE_TABLE: DurableObjectNamespace<import('./worker.ts').SlowLakeTable>
    FLEET: DurableObjectNamespace<import('durable-outbox/fleet').OutboxFleet>
    LAKE_INTAKE: DurableObjectNamespace<import('./worker.ts').SlowLakeIntake>
    INGEST_BATCHES: DurableObjectNamespace<import('./worker.ts').Batches>
    NOTES: DurableObjectNamespace<import('./worker.ts').Notes>
    TASKS: DurableObjectNamespace<import('../examples/agent.ts').TaskAgent>
    STORES: DurableObjectNamespace<import('./worker.ts').Stores>
    QUEUE: Queue<import('durable-outbox').EventRecord>
    PROJECTS: DurableObjectNamespace<import('../examples/project.ts').Project>
    OUTBOX_TAIL: DurableObjectNamespace<import('./worker.ts').Tails>
    PLAIN: DurableObjectNamespace<import('./worker.ts').Plain>
    /** Of the Worker in neighbours/. */
    REMINDERS: DurableObjectNamespace<import('./neighbours/worker.ts').Reminders>
    TIMED: DurableObjectNamespace<import('./neighbours/worker.ts').Timed>
    ROOMS: DurableObjectNamespace<import('./neighbours/room.ts').Room>
    ACTORS: DurableObjectNamespace<import('./neighbours/actor.ts').TimedActor>
    LIVES: DurableObjectNamespace<import('./neighbours/lifecycle.ts').Living>
    ACCOUNTS: DurableObjectNamespace<import('./neighbours/accounts.ts').Accounts>
    PARENTS: DurableObjectNamespace<import('./neighbours/facets.ts').Parent>
  }

  interface GlobalProps {
    mainModule: typeof import('./neighbours/worker.ts')
  }
}

declare module '*?raw' {
  const text: string
  export default text
}
