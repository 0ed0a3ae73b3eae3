// Finds the command, runs it, and turns what it throws into a message and an exit code.

import { CDCError, messageOf } from '../error.ts'
import { type Command, type ExitCode, type IO } from './command.ts'
import { outboxCommand } from './outbox.ts'
import { provisionCommand } from './provision.ts'
import { queryCommand } from './query.ts'
import { reconcileCommand } from './reconcile.ts'
import { stateCommand } from './state.ts'
import { verifyCommand } from './verify.ts'

/** Every command, in the order of the help. A new command is a file with a `Command` and a line here. */
export const commands: readonly Command[] = [
  queryCommand,
  stateCommand,
  verifyCommand,
  reconcileCommand,
  outboxCommand,
  provisionCommand,
]

/** Runs one command line (without `node` and the script) and returns the exit code of the process. */
export async function main(args: readonly string[], io: IO): Promise<ExitCode> {
  const [name, ...rest] = args
  if (name === undefined || isHelp(name) || name === 'help') return printHelp(rest[0], name, io)
  const command = commands.find((candidate) => candidate.name === name)
  if (command === undefined) return refuse(name, io)
  if (rest.some(isHelp)) return printHelp(command.name, name, io)
  return runCommand(command, rest, io)
}

async function runCommand(command: Command, args: readonly string[], io: IO): Promise<ExitCode> {
  try {
    return await command.run(args, io)
  } catch (error) {
    io.stderr(`durable-outbox ${messageOf(error)}\n`)
    return error instanceof CDCError && error.code === 'invalid-argument' ? 2 : 1
  }
}

function isHelp(arg: string): boolean {
  return arg === '--help' || arg === '-h'
}

/** Help that was asked for is a result; help for somebody who asked for nothing is an error. */
function printHelp(about: string | undefined, asked: string | undefined, io: IO): ExitCode {
  const command = commands.find((candidate) => candidate.name === about)
  const help = command === undefined ? generalHelp() : command.help
  if (asked === undefined) {
    io.stderr(help)
    return 2
  }
  io.stdout(help)
  return 0
}

function generalHelp(): string {
  const width = Math.max(...commands.map((command) => command.name.length))
  const list = commands.map((command) => `  ${command.name.padEnd(width)}  ${command.summary}\n`)
  return `Usage: durable-outbox <command> [options]\n\nCommands:\n${list.join('')}\nHelp on one: durable-outbox <command> --help\n`
}

function refuse(name: string, io: IO): ExitCode {
  const known = commands.map((command) => command.name).join(', ')
  const what = name.startsWith('-') ? 'flag' : 'command'
  io.stderr(`durable-outbox: unknown ${what} ${name}; the commands are: ${known}; see durable-outbox --help\n`)
  return 2
}
