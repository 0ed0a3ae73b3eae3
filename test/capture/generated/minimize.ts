// Leaves out what a script does not need in order to fail in the same way. fast-check shrinks the spec, where one thing
// often stands for several; here the operations themselves go, one after another.

import { runScript } from './compare.ts'
import type { Features } from './features.ts'
import type { Op, Script } from './plan.ts'
import type { Finding } from './run.ts'

export interface Failure {
  readonly script: Script
  readonly finding: Finding
}

export async function minimize({ script, finding }: Failure, features: Features): Promise<Failure> {
  let least: Failure = { script, finding }
  for (let isSmaller = true; isSmaller;) {
    isSmaller = false
    for (let at = sizeOf(least.script.ops) - 1; at >= 0; at--) {
      for (const ops of shorter(least.script.ops, at)) {
        const found = await runScript({ ops }, features)
        if (found?.kind !== finding.kind) continue
        least = { script: { ops }, finding: found }
        isSmaller = true
        break
      }
    }
  }
  return least
}

function sizeOf(ops: readonly Op[]): number {
  return ops.reduce((sum, op) => sum + 1 + ('ops' in op ? sizeOf(op.ops) : 0), 0)
}

/** Without the operation of a number, counted through; a transaction also as the operations in it. */
function shorter(ops: readonly Op[], at: number): Op[][] {
  let place = at
  for (const [index, op] of ops.entries()) {
    if (place === 0) {
      if (op.do === 'check' && index === ops.length - 1) return []
      const inner = op.do === 'transaction' ? [ops.toSpliced(index, 1, ...op.ops)] : []
      return [ops.toSpliced(index, 1), ...inner]
    }
    const size = sizeOf([op])
    if (place < size && 'ops' in op)
      return shorter(op.ops, place - 1).map((within) => ops.toSpliced(index, 1, { ...op, ops: within } as Op))
    place -= size
  }
  return []
}
