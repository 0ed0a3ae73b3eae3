// Lines that somebody types, with the history of earlier ones.

import { readFileSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import type { Typing } from './command.ts'

const HISTORY_LINES_MAX = 1_000

/** Reads from a terminal, or from a pipe, which has neither a prompt nor a history. */
export async function* typedLines(
  { input, output }: { input: Readable & { isTTY?: boolean }; output: Writable },
  { prompt, onInterrupt, historyPath }: Typing,
): AsyncGenerator<string> {
  const isTerminal = input.isTTY === true
  const history = isTerminal ? readHistory(historyPath) : []
  const lines = createInterface({ input, output, terminal: isTerminal, history, historySize: HISTORY_LINES_MAX })
  lines.on('history', (entries: string[]) => keepHistory(historyPath, entries))
  lines.on('SIGINT', () => {
    if (onInterrupt() === 'end') return lines.close()
    output.write('^C\n')
    lines.write(null, { ctrl: true, name: 'e' })
    lines.write(null, { ctrl: true, name: 'u' })
    ask()
  })
  let isClosed = false
  lines.on('close', () => (isClosed = true))
  function ask(): void {
    if (!isTerminal || isClosed) return
    lines.setPrompt(prompt())
    lines.prompt()
  }
  ask()
  for await (const line of lines) {
    yield line
    ask()
  }
}

function readHistory(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n').filter(Boolean)
  } catch {
    return []
  }
}

/** What can't be kept is no reason to stop. */
function keepHistory(path: string, entries: readonly string[]): void {
  try {
    writeFileSync(path, `${entries.join('\n')}\n`, { mode: 0o600 })
  } catch {
    // The folder of the lake is not there yet, or can't be written.
  }
}
