// Run by Node, on the simulator's platform: prints the logs of the first scripts as JSON. Its argument is how many.

import { DurableObject } from 'cloudflare:workers'
import * as z from 'zod'
import { Network } from '../../proofs/simulate/platform/network.ts'
import { enter } from '../../proofs/simulate/platform/globals.ts'
import { ObjectHost } from '../../proofs/simulate/platform/object-host.ts'
import { Platform, Worker } from '../../proofs/simulate/platform/platform.ts'
import { createMannersScript, type MannersScript, runStay } from './manners.ts'

class Plain extends DurableObject<object> {
  override alarm(): void {}

  run(stay: MannersScript[number]): Promise<string[]> {
    return runStay(this.ctx, stay)
  }
}

/** Longer than anything takes here, and shorter than the time until an alarm is due. */
const SETTLED_MS = 60_000

const logs: string[][] = []
for (let seed = 1; seed <= Number(process.argv[2]); seed++) logs.push(await runScript(createMannersScript(seed), seed))
process.stdout.write(JSON.stringify(logs))

async function runScript(script: MannersScript, seed: number): Promise<string[]> {
  const platform = new Platform(seed)
  const network = new Network(platform)
  network.calm()
  const create = (ctx: DurableObjectState): Plain => new Plain(ctx, {})
  const host = new ObjectHost({ platform, network, name: 'plain', create, onDurable: () => undefined })
  const client = new Worker(platform, 'client')
  const log: string[] = []
  enter(platform)
  for (const stay of script) {
    const call = network.call(client, 'client>plain', host.method('run', [stay]))
    void call.then((lines) => log.push(...z.array(z.string()).parse(lines)))
    while (platform.step(platform.schedule.nowMs + SETTLED_MS)) await turnEnd()
    host.evict()
  }
  enter(undefined)
  return log
}

function turnEnd(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve))
}
