// Stops an object at every point of a script, in real workerd, and checks each time what is left: what the platform had not
// made durable is gone, as when a machine ends.

import { drain } from './drain.ts'
import { patchStorage, setWatch, Stopped, Watch } from './points.ts'
import { importRunner } from './runner.ts'

/** The methods of an object, as a client calls them. */
export type Calls<Instance> = {
  readonly [
    Name in keyof Instance as Instance[Name] extends (...args: never) => unknown ? Name : never
  ]: Instance[Name] extends (...args: infer Args) => infer Result ? (...args: Args) => Promise<Awaited<Result>> : never
}

export interface Script<Instance extends Rpc.DurableObjectBranded, Told> {
  /** The stub of an object by its name. Each run has an object of its own. */
  readonly object: (name: string) => DurableObjectStub<Instance>
  /**
   * What clients do. A call throws if the object was stopped meanwhile; a client that asks again reaches the object that has
   * started again.
   *
   * @param told where clients note what they were told, for `check`.
   */
  readonly run: (calls: Calls<Instance>, told: Told[], name: string) => Promise<void>
  /**
   * Called after the object was stopped, has started again and has delivered what was pending. Throws if something is not as it
   * must be.
   */
  readonly check: (outcome: Outcome<Instance, Told>) => void | Promise<void>
  /** How often it is stopped in one run: once (the default), or also a second time at each point after that. */
  readonly stops?: 1 | 2
  /** More runs than this are an error. Default: 2,000. */
  readonly maxRuns?: number
}

export interface Outcome<Instance extends Rpc.DurableObjectBranded, Told> {
  readonly stub: DurableObjectStub<Instance>
  readonly name: string
  readonly told: readonly Told[]
  /** The points at which it was stopped, in words; none in the run without a stop. */
  readonly stoppedAt: readonly string[]
}

/** What was explored. */
export interface Exploration {
  readonly runs: number
  /** The points of the script, in order. */
  readonly points: readonly string[]
}

/** Thrown by `explore`: the check failed after a stop. The cause is what the check threw. */
export class ExploreError extends Error {
  override readonly name = 'ExploreError'
  readonly stoppedAt: readonly string[]

  constructor(stoppedAt: readonly string[], cause: unknown) {
    const where = stoppedAt.length === 0 ? 'without a stop' : `stopped ${stoppedAt.join(', and then ')}`
    super(`${where}: ${String(cause)}`, { cause })
    this.stoppedAt = stoppedAt
  }
}

const RUNS_MAX = 2_000

/**
 * Runs a script once to its end, and then once for each point of it, stopping the object there. Points are: before each statement
 * that writes, before the end of each transaction, before each alarm is set or deleted, before and after the pipeline takes a batch
 * (if it is a `fakePipeline()` in `configure()`), and after each answer, which is lost then.
 *
 * After the script the object is drained, and that is explored too. workerd prints each stop as an uncaught exception.
 *
 * @throws {ExploreError} if a check fails, naming the points at which the object was stopped.
 * @throws {CDCError} `invalid-config` outside Cloudflare's test runner.
 */
export async function explore<Instance extends Rpc.DurableObjectBranded, Told = unknown>(
  script: Script<Instance, Told>,
): Promise<Exploration> {
  const { stops = 1, maxRuns = RUNS_MAX } = script
  const { runInDurableObject } = await importRunner('explore')
  const session = crypto.randomUUID()
  await runInDurableObject(script.object(`explore-${session}`), (_, { storage }) => patchStorage(storage))
  let runs = 0
  const runOnce = async (plan: readonly number[]): Promise<readonly string[]> => {
    runs += 1
    if (runs > maxRuns)
      throw new Error(`explore: more than ${maxRuns} runs (maxRuns); make the script shorter, or stop once`)
    return runScript(script, plan, `explore-${session}-${runs}`)
  }
  const exploreAfter = async (plan: readonly number[]): Promise<readonly string[]> => {
    const points = await runOnce(plan)
    if (plan.length < stops) for (const index of points.keys()) await exploreAfter([...plan, index + 1])
    return points
  }
  const points = await exploreAfter([])
  return { runs, points }
}

/** @returns the points after the last stop. */
async function runScript<Instance extends Rpc.DurableObjectBranded, Told>(
  { object, run, check }: Script<Instance, Told>,
  plan: readonly number[],
  name: string,
): Promise<readonly string[]> {
  const watch = new Watch(plan)
  const told: Told[] = []
  setWatch(watch)
  try {
    await unlessStopped(watch, async () => run(await callsOf(object, watch, name), told, name))
    for (let drained = false; !drained;) drained = await unlessStopped(watch, () => drainWatched(object(name), watch))
  } finally {
    setWatch(undefined)
  }
  const { reached, stoppedAt } = watch
  try {
    await check({ stub: object(name), name, told, stoppedAt })
  } catch (error) {
    throw new ExploreError(stoppedAt, error)
  }
  return reached
}

/** @returns false if the work failed because the object was stopped. */
async function unlessStopped(watch: Watch, work: () => Promise<unknown>): Promise<boolean> {
  const stopsBefore = watch.stoppedAt.length
  try {
    await work()
  } catch (error) {
    if (watch.stoppedAt.length === stopsBefore) throw error
    return false
  }
  // The relay does not throw: that its object was stopped shows here alone.
  return watch.stoppedAt.length === stopsBefore
}

async function drainWatched(stub: DurableObjectStub, watch: Watch): Promise<void> {
  const { runInDurableObject } = await importRunner('explore')
  await runInDurableObject(stub, (_, state) => watch.follow(state))
  await drain(stub)
}

/** The object's methods as its clients call them: inside the runner, which does not report their errors a second time. */
async function callsOf<Instance extends Rpc.DurableObjectBranded>(
  object: (name: string) => DurableObjectStub<Instance>,
  watch: Watch,
  name: string,
): Promise<Calls<Instance>> {
  const { runInDurableObject } = await importRunner('explore')
  const call = async (method: string, args: unknown[]): Promise<unknown> => {
    const result: unknown = await runInDurableObject(object(name) as DurableObjectStub, (instance, state) => {
      watch.follow(state)
      const target: unknown = Reflect.get(instance, method)
      if (typeof target !== 'function') throw new Error(`explore: the object has no method ${method}`)
      return Reflect.apply(target, instance, args) as unknown
    })
    if (!watch.pass(`after the answer to ${method}, which is lost`)) return result
    await runInDurableObject(object(name) as DurableObjectStub, (_, state) => state.abort('stopped by explore')).catch(
      () => undefined,
    )
    throw new Stopped(`the answer to ${method} was lost`)
  }
  return new Proxy({} as Calls<Instance>, {
    // A promise would be asked for its then.
    get: (_, method) =>
      typeof method === 'symbol' || method === 'then' ? undefined : (...args: unknown[]) => call(method, args),
  })
}
