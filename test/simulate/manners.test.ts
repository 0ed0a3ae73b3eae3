import { env } from 'cloudflare:workers'
import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import { expect, inject, it } from 'vitest'
import { createMannersScript, type MannersScript, runStay } from './manners.ts'

async function runInWorkerd(script: MannersScript, name: string): Promise<string[]> {
  const stub = env.PLAIN.getByName(name)
  const log: string[] = []
  for (const stay of script) {
    log.push(...(await runInDurableObject(stub, (_, state) => runStay(state, stay))))
    await evictDurableObject(stub)
  }
  return log
}

it('[I1] [I2] leaves the log in workerd that it leaves on the platform of the simulator, whatever the script', async () => {
  const simulated = inject('simulatedLogs')
  expect(simulated.length).toBeGreaterThan(0)
  for (const [index, expected] of simulated.entries()) {
    const seed = index + 1
    const log = await runInWorkerd(createMannersScript(seed), `manners-${seed}`)
    expect(log, `script ${seed}: ${JSON.stringify(createMannersScript(seed))}`).toEqual(expected)
  }
})
