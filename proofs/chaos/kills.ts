// When the runtime is killed: in a known phase of its work, while it starts, or at any moment.

import { setTimeout as pause } from 'node:timers/promises'
import type { Runtime } from '../harness/runtime.ts'
import type { Client } from './client.ts'
import type { Disk } from './disk.ts'
import type { Healing } from './restores.ts'
import { type Activity, type Phase, PHASES } from './phases.ts'
import { between, type Random, shuffle } from '../harness/random.ts'

/** Where a kill should fall, and how long the runtime runs before that place is looked for. */
export interface Kill {
  readonly at: Phase | 'starting' | 'random' | 'disk-full'
  readonly afterMs: number
  /** How long it is stopped and then continued before; 0 in most lives. */
  readonly suspendedMs: number
}

/** Where a kill fell, and what the Worker was doing a moment before. */
export interface Fallen {
  readonly at: Kill['at'] | Healing
  readonly wasSuspended: boolean
  readonly seen: Activity | undefined
}

/** A rare phase may not occur at all. Then the kill falls at random. */
const TRAP_TIMEOUT_MS = 5_000
const POLL_MS = 15
/** The share of lives in which it is stopped for a while: the longest is beyond the relay's timeouts. */
const SUSPENSIONS = 0.25
const SUSPENDED_MS_MAX = 2_500
/** How long the disk is full before the kill: a relay and a commit of the lake find it so. */
const FULL_MS = 1_000
/** `wrangler dev` answers after about two seconds; the objects' alarms fire before. */
const STARTING_MS_MIN = 400
const STARTING_MS_MAX = 2_500

/** As many kills as there are places fall once into each phase, once into a start, once on a full disk, and once anywhere. */
export function planKills(
  random: Random,
  { kills, lifeMs, phases }: { kills: number; lifeMs: number; phases: readonly Phase[] },
): Kill[] {
  const plan: Kill[] = []
  const places: Kill['at'][] = [...phases, 'starting', 'disk-full', 'random']
  while (plan.length < kills)
    for (const at of shuffle(random, places))
      plan.push({ at, afterMs: afterMs(random, at, lifeMs), suspendedMs: suspendedMs(random) })
  return plan.slice(0, kills)
}

/** What a kill looks at. Without a disk of its own, none falls on a full one. */
export interface Surroundings {
  readonly client: Client
  readonly disk: Disk | undefined
}

/** Starts the runtime, lets it run for a while, and kills it. */
export async function carryOut(kill: Kill, runtime: Runtime, { client, disk }: Surroundings): Promise<Fallen> {
  if (kill.at !== 'starting') {
    await runtime.start()
    return strike(kill, runtime, { client, disk })
  }
  runtime.launch()
  await pause(kill.afterMs)
  await runtime.kill()
  return { at: 'starting', seen: undefined, wasSuspended: false }
}

/** Kills the runtime that is running. */
export async function strike(
  { at, afterMs, suspendedMs }: Kill,
  runtime: Runtime,
  { client, disk }: Surroundings,
): Promise<Fallen> {
  await pause(afterMs)
  if (at === 'disk-full' && disk !== undefined) return strikeWhileFull(disk, runtime, client)
  if (suspendedMs > 0) await runtime.suspend(suspendedMs)
  const isHeld = isPhase(at) && (await isCaught(at, client))
  const seen = await client.activity()
  await runtime.kill()
  const activity = seen.kind === 'answer' ? seen.body : undefined
  // Only a phase that was still held at the last look is certain.
  return { at: isHeld && activity?.held === at ? at : 'random', seen: activity, wasSuspended: suspendedMs > 0 }
}

async function strikeWhileFull(disk: Disk, runtime: Runtime, client: Client): Promise<Fallen> {
  disk.fill()
  await pause(FULL_MS)
  const seen = await client.activity()
  await runtime.kill()
  disk.free()
  return { at: 'disk-full', seen: seen.kind === 'answer' ? seen.body : undefined, wasSuspended: false }
}

/** The number of kills in each place, in words, for the summary. */
export function describeKills(fallen: readonly Fallen[], phases: readonly Phase[]): string[] {
  const inPhases = phases.map((phase) => `${count(fallen, (kill) => kill.at === phase)} ${PHASES[phase]}`)
  const random = fallen.filter((kill) => kill.at === 'random')
  const attempts = count(random, ({ seen }) => (seen?.attempts ?? 0) > 0)
  const puts = count(random, ({ seen }) => (seen?.puts ?? 0) > 0)
  const transactions = count(random, ({ seen }) => (seen?.transactions ?? 0) > 0)
  return [
    ...inPhases,
    `${count(fallen, (kill) => kill.at === 'starting')} while the runtime started`,
    `${random.length} at random (a relay attempt was open in ${attempts}, a put of the lake in ${puts}, ` +
      `an async transaction in ${transactions})`,
    `${count(fallen, (kill) => kill.at === 'disk-full')} while the disk was full`,
    `${count(fallen, (kill) => kill.at === 'recover')} inside recover, ${count(fallen, (kill) => kill.at === 'reconcile')} inside reconcile`,
    `${count(fallen, ({ wasSuspended }) => wasSuspended)} after it had been stopped for a while and continued`,
  ]
}

async function isCaught(phase: Phase, client: Client): Promise<boolean> {
  await client.setTrap(phase)
  for (const deadline = Date.now() + TRAP_TIMEOUT_MS; Date.now() < deadline; await pause(POLL_MS)) {
    const reply = await client.activity()
    if (reply.kind === 'answer' && reply.body.held === phase) return true
  }
  return false
}

function isPhase(name: string): name is Phase {
  return name in PHASES
}

function suspendedMs(random: Random): number {
  return random() < SUSPENSIONS ? between(random, 100, SUSPENDED_MS_MAX) : 0
}

function afterMs(random: Random, at: Kill['at'], lifeMs: number): number {
  if (at === 'starting') return between(random, STARTING_MS_MIN, STARTING_MS_MAX)
  return between(random, Math.round(lifeMs * 0.1), Math.round(lifeMs * 1.9))
}

function count<T>(items: readonly T[], predicate: (item: T) => boolean): number {
  return items.filter((item) => predicate(item)).length
}
