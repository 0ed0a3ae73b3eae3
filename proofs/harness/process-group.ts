// Programs that run in a process group of their own. The whole group ends at once, and never outlives this process.

import { type ChildProcess, spawn, type StdioOptions } from 'node:child_process'
import { text } from 'node:stream/consumers'

export interface Program {
  readonly command: string
  readonly args: readonly string[]
  readonly cwd: string
  readonly env?: NodeJS.ProcessEnv
}

const groups = new Set<number>()
process.on('exit', () => groups.forEach(killGroup))

/** Starts a program as the leader of a group. */
export function spawnGroup({ command, args, cwd, env }: Program, stdio: StdioOptions): ChildProcess {
  const child = spawn(command, args, { cwd, env, stdio, detached: true })
  const { pid } = child
  if (pid === undefined) return child
  groups.add(pid)
  child.once('exit', () => groups.delete(pid))
  return child
}

/** Ends a group with SIGKILL, which leaves none of its processes the time to write another byte. */
export function killGroup(leader: number): void {
  signalGroup(leader, 'SIGKILL')
}

/** Signals every process of a group. */
export function signalGroup(leader: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-leader, signal)
  } catch {
    // It has ended already.
  }
}

/**
 * Runs a program to its end.
 *
 * @param program `input` goes to its stdin; its stderr is shown as it comes, unless it `isQuiet`.
 * @returns its stdout.
 * @throws {Error} if it fails or takes longer than `maxMs`; if it was quiet, with what it printed.
 */
export async function run(program: Program & { input?: string; maxMs: number; isQuiet?: boolean }): Promise<string> {
  const { command, args, input = '', maxMs, isQuiet = false } = program
  const child = spawnGroup(program, ['pipe', 'pipe', isQuiet ? 'pipe' : 'inherit'])
  const ended = endOf(child)
  const timer = setTimeout(() => child.pid !== undefined && killGroup(child.pid), maxMs)
  try {
    child.stdin?.on('error', () => undefined).end(input)
    const outputs = [child.stdout, child.stderr].map(async (stream) => (stream === null ? '' : text(stream)))
    const [end, stdout = '', stderr = ''] = await Promise.all([ended, ...outputs])
    if (end === 0) return stdout
    const printed = isQuiet ? `:\n${stdout}\n${stderr}` : ''
    throw new Error(`${command} ${args.join(' ')} ended with ${end}; it may take ${maxMs / 1_000} s${printed}`)
  } finally {
    clearTimeout(timer)
  }
}

/** Resolves to the exit code, or to the signal that ended the program. */
function endOf(child: ChildProcess): Promise<number | NodeJS.Signals | null> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve(code ?? signal))
  })
}
