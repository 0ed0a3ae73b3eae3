// PyIceberg and DuckDB's iceberg extension, in a virtual environment below interop/node_modules. They are left out, with
// the reason, if this machine has no Python that can install them.

import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../harness/process-group.ts'
import type { Answers, Question } from './check.ts'
import { answersShape } from './check.ts'
import type { CatalogAddress } from './lake.ts'

const INSTALL_MS_MAX = 600_000
const QUESTIONS_MS_MAX = 60_000

const here = import.meta.dirname
const environment = join(here, 'node_modules/.cache/python')
const python = join(environment, 'bin/python')
const requirements = join(here, 'requirements.txt')
const installed = join(environment, 'requirements.txt')

/** Installs what is missing. @returns why it could not, or undefined. */
export async function installPython(): Promise<string | undefined> {
  const wanted = await readFile(requirements, 'utf8')
  if (wanted === (await readFile(installed, 'utf8').catch(() => undefined))) return undefined
  console.error('interop: installing PyIceberg and DuckDB (pip install -r requirements.txt), once, 420 MB on disk')
  try {
    await install('python3', ['-m', 'venv', '--clear', environment])
    await install(python, ['-m', 'pip', 'install', '--quiet', '--retries', '1', '--requirement', requirements])
    await writeFile(installed, wanted)
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

async function install(command: string, args: readonly string[]): Promise<void> {
  await run({ command, args, cwd: here, maxMs: INSTALL_MS_MAX })
}

/** @returns for each question the rows, or the error as text. */
export async function askPython(
  engine: 'pyiceberg' | 'duckdb',
  { catalog, token }: CatalogAddress,
  questions: readonly Question[],
): Promise<Answers> {
  const answer = await run({
    command: python,
    args: [join(here, 'python-child.py')],
    cwd: here,
    input: JSON.stringify({ engine, url: catalog, token, questions }),
    maxMs: QUESTIONS_MS_MAX,
  })
  return answersShape.parse(JSON.parse(answer))
}
