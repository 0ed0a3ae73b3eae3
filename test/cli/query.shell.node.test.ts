// `durable-outbox query` without SQL: statements one after another, in one session.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { typedLines } from '../../src/cli/prompt.ts'
import { createProject, eventRow, openLake, runIn } from './lake-fixture.ts'

const TIME = '2026-11-01T02:00:00.000Z'

describe('the shell of queries', () => {
  let project: Awaited<ReturnType<typeof createProject>>

  beforeAll(async () => {
    project = await createProject()
    const lake = await openLake(project.root)
    await lake.append([eventRow(TIME, { type: 'A' }), eventRow(TIME, { type: 'B' })])
  })

  afterAll(() => project.remove())

  it('answers each statement, over several lines, until exit', async () => {
    const stdin =
      'SELECT type\nFROM events\nORDER BY type;\n\nSELECT count(*) AS n FROM events;\nexit\nSELECT 3 AS never;\n'
    expect(await runIn(project.root, ['query', '--csv'], { stdin })).toMatchObject({
      code: 0,
      stdout: 'type\r\nA\r\nB\r\nn\r\n2\r\n',
    })
  })

  it('keeps what a statement has made, and continues after one that fails', async () => {
    const stdin = "CREATE TABLE mine AS SELECT 'x;y' AS a;\nSELECT nothing FROM mine;\nSELECT a\nFROM mine"
    const { code, stdout, stderr } = await runIn(project.root, ['query', '--csv'], { stdin })
    expect({ code, stdout: stdout.replace(/^Count\r\n1\r\n/, '') }).toEqual({ code: 0, stdout: 'a\r\nx;y\r\n' })
    expect(stderr).toContain('nothing')
    // The lake is named once, and not with each statement.
    expect(stderr.match(/snapshot/g)).toHaveLength(1)
  })
})

describe('what is typed', () => {
  it('has a prompt and the history of earlier lines on a terminal, and Ctrl-C takes a line back', async () => {
    const project = await createProject()
    const historyPath = join(project.root, 'history')
    const [input, output] = [Object.assign(new PassThrough(), { isTTY: true }), new PassThrough()]
    let printed = ''
    output.on('data', (chunk: Buffer) => (printed += chunk.toString()))
    const typed: string[] = []
    const interrupts = ['continue', 'end'] as const
    let interrupt = 0
    const lines = typedLines(
      { input, output },
      { prompt: () => `${typed.length}> `, onInterrupt: () => interrupts[interrupt++] ?? 'end', historyPath },
    )
    input.write('SELECT 1;\r')
    for await (const line of lines) {
      typed.push(line)
      if (typed.length === 1) input.write('half a statement\u0003SELECT 2;\r')
      // Up, up, and the line before last is there again.
      if (typed.length === 2) input.write('\u001b[A\u001b[A\r')
      if (typed.length === 3) input.write('\u0003')
    }
    expect(typed).toEqual(['SELECT 1;', 'SELECT 2;', 'SELECT 1;'])
    expect(printed).toContain('0> ')
    expect(printed).toContain('2> ')
    expect((await readFile(historyPath, 'utf8')).trim().split('\n')).toContain('SELECT 2;')
    await project.remove()
  })
})
