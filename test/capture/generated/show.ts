// A script as a person would write it down: SQL, and comments for what is not SQL.

import type { Op, Script } from './plan.ts'
import type { Finding } from './run.ts'

export function showScript({ ops }: Script, finding?: Finding): string {
  return ops.flatMap((op) => show(op, finding)).join('\n')
}

function showBindings(bindings: readonly SqlStorageValue[]): string {
  return bindings
    .map((value) => (value instanceof ArrayBuffer ? `x'${new Uint8Array(value).toHex()}'` : JSON.stringify(value)))
    .join(', ')
}

function show(op: Op, finding: Finding | undefined): string[] {
  const mark = op === finding?.op ? ['  -- ^ here'] : []
  switch (op.do) {
    case 'sql':
      return [`${op.text};${op.bindings === undefined ? '' : ` -- with ${showBindings(op.bindings)}`}`, ...mark]
    case 'transaction':
      return [
        `-- ${op.by === 'ours' ? 'ctx' : 'ctx.storage'}.transactionSync(${op.isAtomic ? '' : 'each statement caught'}`,
        ...op.ops.flatMap((each) => show(each, finding)).map((line) => `  ${line}`),
        op.fails ? '-- throws)' : '-- )',
        ...mark,
      ]
    case 'emit':
      return ["-- tx.emit({ type: 'Beside' })"]
    case 'capture': {
      const modes = Object.entries(op.modes).map(([column, mode]) => `${column} ${mode}`)
      return [
        `-- capture ${JSON.stringify(op.table)}${modes.length === 0 ? '' : ` as drizzle's, with ${modes.join(', ')}`}`,
        ...mark,
      ]
    }
    case 'check':
      return op === finding?.op ? ['-- check', ...mark] : []
    case 'wake':
      return [`-- the object is evicted and wakes${op.skewMs === 0 ? '' : `, its clock ${op.skewMs} ms`}`]
    case 'delete all':
      return ['-- storage.deleteAll()', ...mark]
    case 'snapshot':
      return [
        `-- snapshot of ${JSON.stringify(op.table)}, chunk ${op.chunk}${op.ops.length === 0 ? '' : ', meanwhile'}`,
        ...op.ops.flatMap((each) => show(each, finding)).map((line) => `  ${line}`),
        ...mark,
      ]
    case 'flush':
      return ['-- flush', ...mark]
  }
}
