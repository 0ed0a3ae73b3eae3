// Files that are put back to an earlier copy while the runtime is down, and what heals the lake then.

import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { runCommand } from '../harness/command.ts'
import { between, type Random } from '../harness/random.ts'
import type { Runtime } from '../harness/runtime.ts'
import type { Cellars } from './cellars.ts'
import type { Client } from './client.ts'

const objectsOf = (name: string): string => join('v3', 'do', `durable-outbox-chaos-${name}`)
const [LAKE, BUCKET, CELLARS] = [objectsOf('SlowLakeTable'), join('v3', 'r2'), objectsOf('Cellar')]

/** What docs/operating.md and docs/verifying.md say of each. */
export const RESTORES = [
  { what: "the lake's database", folders: [LAKE], healedBy: 'recover' },
  { what: 'the bucket', folders: [BUCKET], healedBy: 'recover' },
  { what: 'both of these', folders: [LAKE, BUCKET], healedBy: 'reconcile' },
  // The last: what has landed under LSNs that are used again must not be lost from the lake meanwhile.
  { what: 'the cellars', folders: [CELLARS] },
] as const

export type Restore = (typeof RESTORES)[number]
export type Healing = 'recover' | 'reconcile'

export const healingOf = (restore: Restore): Healing | undefined =>
  'healedBy' in restore ? restore.healedBy : undefined

const TOKEN = 'a-token-of-the-chaos'
export const ADMIN_VARS = { ADMIN_TOKEN: TOKEN }

/** `wrangler dev` is slow, and so is the command. */
const HEALING_MS = { min: 500, max: 4_000 }
/** The bucket fails now and then, and so may the command. */
const ATTEMPTS_MAX = 6

interface HealerPorts {
  readonly state: string
  /** Where copies are kept. */
  readonly copies: string
  readonly runtime: Runtime
  readonly client: Client
  readonly cellars: Cellars
  readonly random: Random
}

export class Healer {
  readonly #ports: HealerPorts

  constructor(ports: HealerPorts) {
    this.#ports = ports
  }

  /** To be called while the runtime is down. @returns what puts the copy back, while it is down again. */
  copy({ folders }: Restore): () => void {
    const { state, copies, cellars } = this.#ports
    for (const folder of folders) replace(join(state, folder), join(copies, folder))
    const forget = folders.some((folder) => folder === CELLARS) ? cellars.copy() : () => undefined
    return () => {
      for (const folder of folders) replace(join(copies, folder), join(state, folder))
      forget()
    }
  }

  /** Kills the runtime while it heals. @returns whether it was healing until then. */
  async strike(healing: Healing): Promise<boolean> {
    const { runtime, random } = this.#ports
    await runtime.start()
    let isOver = false
    const healed = this.#run(healing).finally(() => (isOver = true))
    await pause(between(random, HEALING_MS.min, HEALING_MS.max))
    const wasHealing = !isOver
    await runtime.kill()
    await healed
    return wasHealing
  }

  /** Heals to the end. @throws {Error} if the command does not manage it. */
  async heal(healing: Healing): Promise<void> {
    const { runtime, client } = this.#ports
    await runtime.start()
    // The command gives up at the first batch of hundreds that fails.
    await client.grantMercy()
    let said = ''
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt += 1) {
      const { code, stdout, stderr } = await this.#run(healing)
      if (code === 0) return
      said = `${stdout}\n${stderr}`
    }
    throw new Error(`durable-outbox ${healing} does not heal the lake:\n${said}`)
  }

  #run(healing: Healing) {
    const { state, runtime } = this.#ports
    const meant = healing === 'recover' ? ['--yes'] : []
    return runCommand([healing, ...meant, '--state', state, '--url', runtime.url, '--wait', '20'], { env: ADMIN_VARS })
  }
}

function replace(from: string, to: string): void {
  rmSync(to, { recursive: true, force: true })
  cpSync(from, to, { recursive: true })
}
