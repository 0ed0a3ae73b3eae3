// Runs another program, bounded in time. It gets a process group of its own, and the whole group ends with this
// process, whichever way this process ends.

import { spawn } from 'node:child_process'
import { buffer } from 'node:stream/consumers'

export interface Program {
  readonly command: string
  readonly args: readonly string[]
  readonly cwd: string
  /** Goes to its stdin. */
  readonly input?: string
  readonly timeoutMs: number
}

const groups = new Set<number>()

process.on('exit', () => {
  for (const group of groups) end(group)
})
// Without a listener a signal would end this process past 'exit'.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1))

/** Waits for the program's end. What it says on stderr is shown as it comes. @returns its stdout. */
export async function run({ command, args, cwd, input = '', timeoutMs }: Program): Promise<string> {
  const child = spawn(command, args, { cwd, detached: true, stdio: ['pipe', 'pipe', 'inherit'] })
  const { pid } = child
  if (pid !== undefined) groups.add(pid)
  const closed = closing(child)
  const timer = setTimeout(() => pid !== undefined && end(pid), timeoutMs)
  try {
    child.stdin.on('error', () => undefined).end(input)
    const [stdout, how] = await Promise.all([buffer(child.stdout), closed])
    if (how === 0) return stdout.toString()
    throw new Error(`${command} ${args.join(' ')} ended with ${how} (it may take ${timeoutMs / 1000} s)`)
  } finally {
    clearTimeout(timer)
    if (pid !== undefined) groups.delete(pid)
  }
}

/** The exit code, or the signal that ended it. */
function closing(child: ReturnType<typeof spawn>): Promise<number | NodeJS.Signals | null> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve(code ?? signal))
  })
}

function end(group: number): void {
  try {
    process.kill(-group, 'SIGKILL')
  } catch {
    // It has ended already.
  }
}
