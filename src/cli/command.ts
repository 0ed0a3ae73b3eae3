// What a command of the durable-outbox program is, and the outside world as it sees it. All that a command prints or
// reads goes through `IO`: so nothing reaches a terminal unescaped, and tests call `main` directly.

import { parseArgs, type ParseArgsOptionsConfig } from 'node:util'
import * as z from 'zod'
import { CDCError, messageOf } from '../error.ts'
import { describeProblems } from '../problem.ts'
import { printable } from './values.ts'

/** The process that the program runs in. */
export interface Process {
  readonly stdout: (text: string) => void
  readonly stderr: (text: string) => void
  /** Reads all of the standard input. */
  readonly stdin: () => Promise<string>
  /** Reads the standard input line by line. */
  readonly typedLines: (typing: Typing) => AsyncIterable<string>
  /** Aborts when somebody interrupts the program. Only what asks for it goes on until it has ended by itself. */
  readonly interruption: () => AbortSignal
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** The terminal's width in cells; undefined if the output is not a terminal, and then nothing is cut. */
  readonly columns?: number | undefined
}

/** How somebody is asked for lines. */
export interface Typing {
  /** What stands before the next line. */
  readonly prompt: () => string
  /** What Ctrl-C does: it takes back what was typed, or ends it all. */
  readonly onInterrupt: () => 'continue' | 'end'
  /** Where lines are kept for the next time. */
  readonly historyPath: string
}

/**
 * What a command may do. People read lines and notes on a terminal, and events hold text that others wrote: so control
 * characters in them, line breaks included, are shown and not sent.
 */
export interface IO extends Pick<Process, 'stdin' | 'typedLines' | 'interruption' | 'cwd' | 'env' | 'columns'> {
  /** Prints a line of the result. */
  readonly line: (text: string) => void
  /** Prints a note or an error, apart from the result, so that the result can be piped. */
  readonly note: (text: string) => void
  /** Writes a result for programs, JSON or CSV, as it is. */
  readonly data: (text: string) => void
}

export function ioOf({ stdout, stderr, ...rest }: Process): IO {
  return {
    ...rest,
    line: (text) => stdout(`${printable(text)}\n`),
    note: (text) => stderr(`${printable(text)}\n`),
    data: stdout,
  }
}

/** 0 means success, 1 a failure, 2 a command line that makes no sense. */
export type ExitCode = 0 | 1 | 2

/** Errors that a command throws do not name it: `main` puts its name before the message. */
export interface Command {
  readonly name: string
  /** One line for the list of commands. */
  readonly summary: string
  readonly help: string
  run(args: readonly string[], io: IO): Promise<ExitCode>
}

/** The error of a command line that makes no sense. `main` adds where the help is, and exits with 2. */
export function usage(problem: string, options: { cause?: unknown } = {}): CDCError {
  return new CDCError('invalid-argument', problem, options)
}

/** Parses the arguments of a command. @throws {CDCError} `invalid-argument` for an unknown or incomplete option. */
export function parseCommandLine<T extends ParseArgsOptionsConfig>(args: readonly string[], options: T) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true })
  } catch (error) {
    throw usage(firstSentence(error), { cause: error })
  }
}

/** The same for a command that takes options only. */
export function parseOptions<T extends ParseArgsOptionsConfig>(args: readonly string[], options: T) {
  const { values, positionals } = parseCommandLine(args, options)
  if (positionals.length > 0) throw usage(`it takes options only, not "${positionals.join(' ')}"`)
  return values
}

/** Reads a whole number from a word of the command line. @throws {CDCError} `invalid-argument`, also below `from`. */
export function wholeNumber(what: string, text: string, from = 0): number {
  const number = Number(text)
  if (/^\d+$/.test(text) && Number.isSafeInteger(number) && number >= from) return number
  throw usage(`${what} is a whole number${from === 0 ? '' : ` above ${from - 1}`}, not "${text}"`)
}

/** Imports an optional peer dependency. @throws {CDCError} `not-found`, with the command that installs it. */
export async function importOptional<T>(name: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && String(error.code).endsWith('MODULE_NOT_FOUND')
    const problem = isMissing ? 'is not installed' : `does not load (${firstSentence(error)})`
    throw new CDCError('not-found', `the package ${name} ${problem}; npm install -D ${name}`, { cause: error })
  }
}

/** Why something could not be read, on one line. */
export function problemOf(error: unknown): string {
  const problem = error instanceof z.ZodError ? describeProblems(error.issues) : messageOf(error)
  return problem.replaceAll(/\s+/g, ' ').trim()
}

function firstSentence(error: unknown): string {
  return (messageOf(error).split(/\.\s|\n/, 1)[0] ?? '').replace(/\.$/, '')
}
