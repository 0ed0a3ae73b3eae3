// Finds the command, runs it, and turns what it throws into a message and an exit code.

import { CDCError, type CDCErrorCode, messageOf } from '../error.ts'
import { type Command, type ExitCode, type IO, ioOf, type Process } from './command.ts'
import { costCommand } from './cost.ts'
import { fleetCommand } from './fleet.ts'
import { outboxCommand } from './outbox.ts'
import { provisionCommand } from './provision.ts'
import { queryCommand } from './query.ts'
import { reconcileCommand } from './reconcile.ts'
import { recoverCommand } from './recover.ts'
import { stateCommand } from './state.ts'
import { subscriptionsCommand } from './subscriptions.ts'
import { tailCommand } from './tail.ts'
import { verifyCommand } from './verify.ts'

/** Every command, in the order of the help. A new command is a file with a `Command`, and a line here. */
export const commands: readonly Command[] = [
  queryCommand,
  stateCommand,
  verifyCommand,
  reconcileCommand,
  recoverCommand,
  outboxCommand,
  fleetCommand,
  subscriptionsCommand,
  tailCommand,
  costCommand,
  provisionCommand,
]

/** Runs one command line (without `node` and the script) and returns the exit code of the process. */
export async function main(args: readonly string[], process: Process): Promise<ExitCode> {
  const [name, ...rest] = args
  if (name === undefined || isHelp(name) || name === 'help') return printHelp(rest[0], name, process)
  const command = commands.find((candidate) => candidate.name === name)
  if (command === undefined) return refuse(name, ioOf(process))
  if (rest.some(isHelp)) return printHelp(command.name, name, process)
  return runCommand(command, rest, ioOf(process))
}

async function runCommand(command: Command, args: readonly string[], io: IO): Promise<ExitCode> {
  try {
    return await command.run(args, io)
  } catch (error) {
    const code = error instanceof CDCError ? error.code : undefined
    io.note(`durable-outbox ${command.name}: ${messageOf(error)}${hintFor(command, code)}`)
    return code === 'invalid-argument' ? 2 : 1
  }
}

function hintFor(command: Command, code: CDCErrorCode | undefined): string {
  if (code === 'invalid-argument') return `; see durable-outbox ${command.name} --help`
  if (code === 'table-damaged' && command !== recoverCommand)
    return '; durable-outbox recover tells what is wrong with the table, and heals it'
  return ''
}

function isHelp(arg: string): boolean {
  return arg === '--help' || arg === '-h'
}

/** Help is a result for a user who asked for it, and an error for one who asked for nothing. */
function printHelp(about: string | undefined, asked: string | undefined, { stdout, stderr }: Process): ExitCode {
  const command = commands.find((candidate) => candidate.name === about)
  const help = command === undefined ? generalHelp() : command.help
  if (asked === undefined) {
    stderr(help)
    return 2
  }
  stdout(help)
  return 0
}

function generalHelp(): string {
  const width = Math.max(...commands.map((command) => command.name.length))
  const list = commands.map((command) => `  ${command.name.padEnd(width)}  ${command.summary}\n`)
  return `Usage: durable-outbox <command> [options]\n\nCommands:\n${list.join('')}\nHelp for one: durable-outbox <command> --help\n`
}

function refuse(name: string, io: IO): ExitCode {
  const known = commands.map((command) => command.name).join(', ')
  const what = name.startsWith('-') ? 'option' : 'command'
  io.note(`durable-outbox: unknown ${what} ${name}; the commands are: ${known}; see durable-outbox --help`)
  return 2
}
