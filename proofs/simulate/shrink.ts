// Makes a script that fails shorter, as long as it fails in the same way.

import { runScript, type Verdict } from './episode.ts'
import { batchesOf, type Script, type Step } from './script.ts'
import type { Block, Work } from './work.ts'

/** A failure comes a little later if something before it is left out. */
const LATER_MS = 2_000

/** @param endMs by the real clock; what was found by then is returned. */
export async function shrink(script: Script, failure: NonNullable<Verdict['failure']>, endMs: number): Promise<Script> {
  const isAtEnd = failure.atMs > (script.steps.at(-1)?.atMs ?? 0)
  const stopMs = isAtEnd ? Infinity : failure.atMs + LATER_MS
  let shortest = script
  const keepIfFails = async (candidate: Script): Promise<boolean> => {
    if (Date.now() > endMs) return false
    const verdict = await runScript(candidate, { stopMs })
    const fails = verdict.failure !== undefined && kindOf(verdict.failure) === kindOf(failure)
    if (fails) shortest = candidate
    return fails
  }
  await keepIfFails({ ...script, steps: script.steps.filter(({ atMs }) => atMs <= failure.atMs) })
  for (const name of script.objects) await keepIfFails(without(shortest, name))
  // A kind of fault at once: some of them make each run wait for longer.
  for (const kind of new Set(script.steps.map((step) => step.do)))
    await keepIfFails({ ...shortest, steps: shortest.steps.filter((step) => step.do !== kind) })
  for (let size = Math.ceil(shortest.steps.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2))
    for (let end = shortest.steps.length; end > 0; end -= size)
      await keepIfFails({ ...shortest, steps: shortest.steps.toSpliced(Math.max(0, end - size), Math.min(size, end)) })
  for (const [index, step] of shortest.steps.entries())
    for (const simpler of simplerSteps(step))
      if (await keepIfFails({ ...shortest, steps: shortest.steps.with(index, simpler) })) break
  return shortest
}

/** The script without an object. */
function without({ seed, objects, steps }: Script, name: string): Script {
  const isOfOthers = (step: Step): boolean =>
    !('who' in step && isOf(name, step.who)) && !('way' in step && step.way.split('>').some((end) => isOf(name, end)))
  return { seed, objects: objects.filter((object) => object !== name), steps: steps.filter(isOfOthers) }
}

function isOf(object: string, host: string): boolean {
  return host === object || host === batchesOf(object)
}

/** The invariant, without what differs from one run to the next. */
function kindOf({ message }: { readonly message: string }): string {
  return message.split(':')[0] ?? message
}

/** The simplest first. */
function simplerSteps(step: Step): Step[] {
  if (step.do !== 'write') return []
  return simplerWorks(step.work).map((work) => ({ ...step, work }))
}

function simplerWorks(work: Work): Work[] {
  if (work.kind === 'captured') return work.ns.length > 1 ? [{ ...work, ns: work.ns.slice(0, 1) }] : []
  const plain: Block = { kind: 'sync', does: work.does.filter((each) => 'by' in each).slice(0, 1), fails: false }
  return [plain, { ...work, does: work.does.slice(0, 1) }]
}
