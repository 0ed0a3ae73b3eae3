// What a command of the durable-outbox program is, and the outside world as it sees it.
// Everything that a command prints or reads goes through `IO`, so tests call `run` directly.

import { parseArgs, type ParseArgsOptionsConfig } from 'node:util'
import { CDCError, messageOf } from '../error.ts'

export interface IO {
  /** Takes the result and nothing else, so that it can be piped. */
  readonly stdout: (text: string) => void
  /** Takes notes and errors. */
  readonly stderr: (text: string) => void
  /** Reads all of the standard input. */
  readonly stdin: () => Promise<string>
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** The terminal's width in cells; undefined where the output is no terminal, and then nothing is cut. */
  readonly columns?: number | undefined
}

/** 0 is success, 1 a failure, 2 a command line that makes no sense. */
export type ExitCode = 0 | 1 | 2

export interface Command {
  readonly name: string
  /** One line for the list of commands. */
  readonly summary: string
  readonly help: string
  run(args: readonly string[], io: IO): Promise<ExitCode>
}

/** Parses a command's arguments; an unknown or incomplete flag is a `CDCError` that names the command's help. */
export function parseCommandLine<T extends ParseArgsOptionsConfig>(
  command: string,
  args: readonly string[],
  options: T,
) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true })
  } catch (error) {
    throw new CDCError(
      'invalid-argument',
      `${command}: ${firstSentence(error)}; see durable-outbox ${command} --help`,
      {
        cause: error,
      },
    )
  }
}

/** Imports an optional peer dependency; `purpose` completes "… needs the package X". */
export async function importOptional<T>(name: string, purpose: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && String(error.code).endsWith('MODULE_NOT_FOUND')
    const problem = missing ? 'is not installed' : `does not load (${firstSentence(error)})`
    throw new CDCError('not-found', `${purpose} needs the package ${name}, which ${problem}; npm install -D ${name}`, {
      cause: error,
    })
  }
}

function firstSentence(error: unknown): string {
  return (messageOf(error).split(/\.\s|\n/, 1)[0] ?? '').replace(/\.$/, '')
}
