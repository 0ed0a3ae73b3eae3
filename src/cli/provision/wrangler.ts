// Runs the project's own wrangler, which knows the account and how to log in to it.

import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { stripVTControlCharacters } from 'node:util'
import * as z from 'zod'
import { importOptional, type IO } from '../command.ts'

/** A command line of wrangler's, in pieces that a test compares with its help. */
export interface WranglerCommand {
  /** Such as `basin pipelines streams get`. */
  readonly words: string
  readonly operand?: string | undefined
  readonly options?: Readonly<Record<string, string>> | undefined
  /** What it reads from its input, such as a secret. */
  readonly input?: string | undefined
}

/** wrangler failed; `said` is its message, on one line. */
export class WranglerError extends Error {
  readonly said: string

  constructor({ words, operand }: WranglerCommand, said: string) {
    super(`wrangler ${[words, operand].filter(Boolean).join(' ')}: ${said}${hintFor(said)}`)
    this.said = said
  }

  /** Whether wrangler knows no account. A token that is not valid is not this: the account has answered. */
  get isWithoutLogin(): boolean {
    return /necessary to set a CLOUDFLARE_API_TOKEN|^not logged in/i.test(this.said)
  }
}

/** What was read of the account; nothing if there is no login, which a dry run can do without. */
export async function unlessWithoutLogin<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading
  } catch (error) {
    if (error instanceof WranglerError && error.isWithoutLogin) return undefined
    throw error
  }
}

/** What to do, if wrangler's own words do not name it. The first that matches counts. */
const HINTS: readonly (readonly [RegExp, string])[] = [
  [/\[code: (?:10000|9109)\]|authenticat|permission|forbidden/i, "docs/deploy.md lists the token's permissions"],
  [/unknown (?:argument|command)/i, 'this wrangler is too old for Basin: npm install -D wrangler@latest'],
  [/fetch failed/i, 'check the network and run it again: it resumes where it stopped'],
  [/CLOUDFLARE_API_TOKEN|not logged in/i, 'npx wrangler login works too'],
  [/account_id/, ''],
  [
    /table.*exist|exist.*table/i,
    'a sink does not take over a table that exists; name another with --table or --suffix',
  ],
  [/(?:)/, 'run it again once that is fixed: it resumes where it stopped'],
]

export interface Project {
  /** The wrangler configuration that the account is read from. */
  readonly config: string
  /** The environment in it; without one, its top level. */
  readonly environment?: string | undefined
}

export class Wrangler {
  readonly #script: string
  readonly #project: Project
  readonly #env: IO['env']
  readonly #secret: string | undefined

  private constructor(script: string, project: Project, env: IO['env'], secret: string | undefined) {
    this.#script = script
    this.#project = project
    this.#env = env
    this.#secret = secret
  }

  /** Finds the wrangler that the project has installed. `secret` is removed from wrangler's messages. */
  static async find(project: Project, env: IO['env'], secret: string | undefined): Promise<Wrangler> {
    const manifest = await importOptional('wrangler', async () =>
      createRequire(project.config).resolve('wrangler/package.json'),
    )
    const { bin } = z
      .object({ bin: z.object({ wrangler: z.string() }) })
      .parse(JSON.parse(await readFile(manifest, 'utf8')))
    return new Wrangler(join(dirname(manifest), bin.wrangler), project, env, secret)
  }

  /** Runs one command. @returns what it printed. @throws {WranglerError} if it failed. */
  async run(command: WranglerCommand): Promise<string> {
    const { code, stdout, stderr } = await this.#spawn(command)
    if (code === 0) return stdout
    throw new WranglerError(command, this.#withoutSecret(errorOf(stderr)) || `it ended with ${code} and no message`)
  }

  async #spawn({ words, operand, options = {}, input = '' }: WranglerCommand) {
    const flags = Object.entries(options).map(([name, value]) => `--${name}=${value}`)
    const { config, environment = '' } = this.#project
    const args = [
      ...words.split(' '),
      ...(operand === undefined ? [] : [operand]),
      ...flags,
      `--config=${config}`,
      `--env=${environment}`,
    ]
    const child = spawn(process.execPath, [this.#script, ...args], {
      cwd: dirname(config),
      // It asks no questions if its input is not a terminal. A program reads what it prints. Its log file must hold no
      // bodies and headers, even if the environment asks for them.
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...this.#env, WRANGLER_LOG: 'log', WRANGLER_LOG_SANITIZE: 'true', WRANGLER_HIDE_BANNER: 'true' },
    })
    child.stdin.on('error', () => undefined) // It ended before it read its input; how it ended says why.
    child.stdin.end(input)
    const [code, stdout, stderr] = await Promise.all([
      new Promise<number | string>((resolve, reject) => {
        child.on('error', reject)
        child.on('close', (code, signal) => resolve(code ?? signal ?? 'nothing'))
      }),
      text(child.stdout),
      text(child.stderr),
    ])
    return { code, stdout, stderr }
  }

  #withoutSecret(said: string): string {
    return this.#secret === undefined ? said : said.replaceAll(this.#secret, '***')
  }
}

/** Finds wrangler's first error among warnings, the path of its log, and stacks. */
function errorOf(stderr: string): string {
  const lines = stripVTControlCharacters(stderr)
    .split('\n')
    .map((line) => line.trim())
  const start = lines.findIndex((line) => line.includes('[ERROR]'))
  const error = start < 0 ? lines : lines.slice(start).map((line, index) => (index === 0 ? withoutMark(line) : line))
  const end = error.findIndex((line) => /^(?:🪵|at |If you think this is a bug|\S*Error: )|\[ERROR\]/u.test(line))
  const said = error.slice(0, end < 0 ? undefined : end).filter((line) => line !== '')
  return said.join(' ')
}

function withoutMark(line: string): string {
  return line.replace(/^.*?\[ERROR\]\s*/, '')
}

function hintFor(said: string): string {
  const [, hint = ''] = HINTS.find(([pattern]) => pattern.test(said)) ?? []
  return hint === '' ? '' : ` (${hint})`
}
