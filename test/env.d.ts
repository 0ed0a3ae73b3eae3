declare namespace Cloudflare {
  interface Env {
    EVENTS_PIPELINE: Service<import('./fake-pipeline.ts').FakePipeline>
    LAKE: Service<import('durable-outbox/lake').Lake>
    LAKE_BUCKET: R2Bucket
    LAKE_TABLE: DurableObjectNamespace<import('./worker.ts').SlowLakeTable>
    NOTES: DurableObjectNamespace<import('./worker.ts').Notes>
    PLAIN: DurableObjectNamespace<import('./worker.ts').Plain>
  }
}
