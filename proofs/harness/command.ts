// Runs the durable-outbox command as the program does, and keeps what it printed.

import { Readable } from 'node:stream'
import { main } from '../../src/cli/main.ts'
import { typedLines } from '../../src/cli/prompt.ts'
import { ROOT } from './wrangler.ts'

/** What the command printed, and how it ended. */
export interface Run {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  /** Where it runs; by default at the root of this repository. */
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  readonly stdin?: string
  readonly columns?: number
  /** Interrupts the command. */
  readonly signal?: AbortSignal
  /** Called with what it prints, as it does. */
  readonly onOutput?: (text: string) => void
}

export async function runCommand(args: readonly string[], options: RunOptions = {}): Promise<Run> {
  const [out, err]: [string[], string[]] = [[], []]
  const code = await main(args, {
    stdout: (text) => {
      out.push(text)
      options.onOutput?.(text)
    },
    stderr: (text) => err.push(text),
    stdin: () => Promise.resolve(options.stdin ?? ''),
    typedLines: (typing) => typedLines({ input: Readable.from(options.stdin ?? ''), output: process.stderr }, typing),
    interruption: () => options.signal ?? new AbortController().signal,
    cwd: options.cwd ?? ROOT,
    env: options.env ?? {},
    columns: options.columns,
  })
  return { code, stdout: out.join(''), stderr: err.join('') }
}
