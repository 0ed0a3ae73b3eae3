// durable-outbox query without SQL: statements one after another, each until its semicolon.

import { CDCError, messageOf } from '../../error.ts'
import type { IO } from '../command.ts'
import { type QueryResult, SQLError } from '../duckdb.ts'
import { type Format, printRows } from '../output.ts'
import { endsStatement, isBlank } from '../sql-tokens.ts'

const PROMPT = 'events> '
const CONTINUED = '   ...> '
const LEAVE = /^\s*\.?(?:exit|quit)\s*;?\s*$/i

interface ShellOptions {
  readonly format: Format
  readonly historyPath: string
}

/** Answers statements until there are no more. An error is told, and ends nothing. */
export async function runShell(
  ask: (sql: string, io: IO) => Promise<QueryResult>,
  { format, historyPath }: ShellOptions,
  io: IO,
): Promise<void> {
  let pending = ''
  const lines = io.typedLines({
    prompt: () => (pending === '' ? PROMPT : CONTINUED),
    onInterrupt() {
      if (pending === '') return 'end'
      pending = ''
      return 'continue'
    },
    historyPath,
  })
  async function answer(): Promise<void> {
    const sql = pending
    pending = ''
    if (isBlank(sql)) return
    try {
      await printRows(await ask(sql, io), format, io)
    } catch (error) {
      if (!(error instanceof SQLError || error instanceof CDCError)) throw error
      noteError(messageOf(error), io)
    }
  }
  for await (const line of lines) {
    if (pending === '' && LEAVE.test(line)) return
    pending += `${line}\n`
    if (isBlank(pending) || endsStatement(pending)) await answer()
  }
  await answer()
}

/** Later lines are indented: they may quote what an event holds, which must not look like a line of ours. */
export function noteError(message: string, io: IO): void {
  for (const [index, text] of message.split('\n').entries()) io.note(index === 0 ? text : `  ${text}`)
}
