declare namespace Cloudflare {
  interface Env {
    EVENTS_PIPELINE: Service<import('./fake-pipeline.ts').FakePipeline>
    NOTES: DurableObjectNamespace<import('./worker.ts').Notes>
  }
}
