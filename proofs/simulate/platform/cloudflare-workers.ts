// The module `cloudflare:workers` of a simulation. Its classes only keep what they are given; the rest is done by who calls them.

class Entrypoint<Context, Env> {
  protected readonly ctx: Context
  protected readonly env: Env

  constructor(ctx: Context, env: Env) {
    this.ctx = ctx
    this.env = env
  }
}

export class DurableObject<Env> extends Entrypoint<DurableObjectState, Env> {}
export class WorkerEntrypoint<Env> extends Entrypoint<ExecutionContext, Env> {}
export class RpcTarget {
  protected readonly isPassedByReference = true
}
export const env = {}
