// A till in a street. Its events go to the head office, over HTTP.

import { CDCDurableObject, type CDCOptions } from 'durable-outbox'
import { ManagedPipeline } from 'durable-outbox/managed-pipeline'

export class Till extends CDCDurableObject<Env> {
  protected override configure(): CDCOptions {
    const { HEAD_OFFICE_URL, HEAD_OFFICE_TOKEN } = this.env
    return { pipeline: new ManagedPipeline({ endpoint: HEAD_OFFICE_URL, authToken: HEAD_OFFICE_TOKEN }) }
  }

  ring(cents: number): void {
    this.ctx.transactionSync((tx) => tx.emit({ type: 'Till.rang', data: { cents } }))
  }
}
