// Every command line that wrangler gets, compared with the help of the pinned wrangler.

import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { createCommands, readCommands } from '../../src/cli/provision/account.ts'
import { createLakeCommands, readLakeCommands } from '../../src/cli/provision/lake-account.ts'
import type { Wanted } from '../../src/cli/provision/plan.ts'

const wrangler = join(import.meta.dirname, '../../node_modules/wrangler/bin/wrangler.js')

const wanted: Wanted = {
  names: { bucket: 'bucket', namespace: 'cdc', table: 'events', stream: 'in', sink: 'out', pipeline: 'through' },
  schema: { fields: [] },
  sql: 'INSERT INTO out SELECT * FROM in',
  rollIntervalSeconds: 60,
}
const lake = { bucket: 'bucket', jurisdiction: 'eu', table: 'cdc.events', binding: 'EVENTS_PIPELINE' }
const commands = [
  ...Object.values(readLakeCommands(lake)),
  ...Object.values(createLakeCommands(lake, 'token')),
  ...Object.values(readCommands(wanted)),
  ...Object.values(createCommands(wanted, { schemaFile: 'schema.json', catalogToken: 'token' })),
]

interface Help {
  /** The command with its operand, as in the first line. */
  readonly usage: string
  /** Options, with the text beside them: a type, choices, a default. */
  readonly flags: ReadonlyMap<string, string>
}

async function helpOf(words: string): Promise<Help> {
  const { stdout } = await promisify(execFile)(process.execPath, [wrangler, ...words.split(' '), '--help'])
  const flags = [...stdout.matchAll(/^ +(?:-\w, +)?--([a-z][a-z-]*) +(.*)$/gm)]
  return {
    usage: /^wrangler .*$/m.exec(stdout)?.[0] ?? '',
    flags: new Map(flags.map(([, name = '', about = '']) => [name, about])),
  }
}

describe.concurrent('wrangler', () => {
  it.each(commands)('has `$words` with every option that it gets', async ({ words, operand, options = {} }) => {
    const { usage, flags } = await helpOf(words)
    expect(usage).toMatch(new RegExp(`^wrangler ${words}${operand === undefined ? '' : ' <\\w+>'}$`))
    const required = [...flags].filter(([, about]) => about.includes('[required]')).map(([name]) => name)
    expect(Object.keys(options)).toEqual(expect.arrayContaining(required))
    expect([...flags.keys()]).toEqual(expect.arrayContaining([...Object.keys(options), 'config', 'env']))
    for (const [name, value] of Object.entries(options)) {
      const about = flags.get(name) ?? ''
      const choices = /\[choices: (.*?)\]/.exec(about)?.[1]
      if (choices !== undefined) expect(choices).toContain(`"${value}"`)
      if (about.includes('[boolean]')) expect(['true', 'false']).toContain(value)
      if (about.includes('[number]')) expect(Number(value)).toBeGreaterThan(0)
    }
  })
})
