// Makes a script that fails shorter, as long as it fails in the same way.

import { runScript, type Verdict } from './episode.ts'
import type { Script, Step } from './script.ts'
import type { Block, Work } from './work.ts'

/** @param endMs by the real clock; what was found by then is returned. */
export async function shrink(script: Script, failure: NonNullable<Verdict['failure']>, endMs: number): Promise<Script> {
  const isLeft = (): boolean => Date.now() < endMs
  const fails = async (candidate: Script): Promise<boolean> => {
    const verdict = await runScript(candidate)
    return verdict.failure !== undefined && kindOf(verdict.failure) === kindOf(failure)
  }
  let shortest = script
  const keepIfFails = async (candidate: Script): Promise<boolean> => {
    if (!isLeft() || !(await fails(candidate))) return false
    shortest = candidate
    return true
  }
  await keepIfFails({ ...script, steps: script.steps.filter(({ atMs }) => atMs <= failure.atMs) })
  for (let size = Math.ceil(shortest.steps.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2))
    for (let end = shortest.steps.length; end > 0; end -= size)
      await keepIfFails({ ...shortest, steps: shortest.steps.toSpliced(Math.max(0, end - size), Math.min(size, end)) })
  for (const [index, step] of shortest.steps.entries())
    for (const simpler of simplerSteps(step))
      if (await keepIfFails({ ...shortest, steps: shortest.steps.with(index, simpler) })) break
  const used = new Set(shortest.steps.flatMap((step) => ('who' in step ? [step.who] : [])))
  await keepIfFails({ ...shortest, objects: shortest.objects.filter((name) => used.has(name)) })
  return shortest
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
