// npm run stranger -- [--pm npm|pnpm|yarn] [--json]: the packed package in projects of somebody else, outside of this
// repository. One is examples/shop, with everything that the command can do; the other is made of the blocks of README.md and
// docs/. Exits with 1 if something does not hold. With --json the last line of stdout is an object with the result.

import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { SingleBar } from 'cli-progress'
import lock from '../../package-lock.json' with { type: 'json' }
import packageJSON from '../../package.json' with { type: 'json' }
import { BAR_OPTIONS, Output } from '../harness/output.ts'
import { postJSON } from '../harness/post.ts'
import { Runtime } from '../harness/runtime.ts'
import { makeScratchDirectory } from '../harness/scratch.ts'
import { ROOT } from '../harness/wrangler.ts'
import { awaitLanding } from './landing.ts'
import type { Block } from './markdown.ts'
import { type Manager, managers, Project } from './project.ts'
import { readDocumentation, writeBlocks } from './reader.ts'
import { useShop, writeSecrets } from './shop.ts'

/** The environment of the shop's configuration beside its top level. */
const ENVIRONMENT = 'staging'
const CALL_MS_MAX = 20_000

const { values } = parseArgs({ options: { pm: { type: 'string' }, json: { type: 'boolean', default: false } } })
const chosen = managers.filter((manager) => values.pm === undefined || values.pm === manager)
if (chosen.length === 0) throw new Error(`--pm ${values.pm} is none of ${managers.join(', ')}`)

const output = new Output(values.json)
const started = performance.now()
const root = makeScratchDirectory('stranger', (code) => code !== 0)
const tarball = pack()
const problems: string[] = []

interface Step {
  readonly name: string
  readonly run: () => Promise<string[] | void>
}

const steps = chosen.flatMap((manager) => [
  ...shopSteps(manager),
  // What is read and used is the same with every manager.
  ...(manager === 'npm' ? readerSteps() : []),
])
const bar = new SingleBar({ ...BAR_OPTIONS, format: '{bar} {value}/{total} {name}' })
bar.start(steps.length, 0, { name: '' })
const seconds: Record<string, number> = {}
for (const { name, run } of steps) {
  bar.update({ name })
  const startedMs = performance.now()
  try {
    for (const problem of (await run()) ?? []) problems.push(`${name}: ${problem}`)
  } catch (error) {
    problems.push(`${name}: ${error instanceof Error ? error.message : String(error)}`)
    break
  }
  seconds[name] = secondsSince(startedMs)
  bar.increment()
}
bar.stop()
const holds = problems.length === 0
for (const [name, took] of Object.entries(seconds)) output.say(`${took.toFixed(1).padStart(6)} s  ${name}`)
output.say(holds ? 'A stranger can use the package as its documentation says.' : problems.join('\n'))
if (!holds) output.say(`The projects are in ${root}`)
output.conclude({ holds, problems, seconds, total: secondsSince(started) })
process.exitCode = holds ? 0 : 1

/** @returns the path of the package as npm would publish it. */
function pack(): string {
  execFileSync('npm', ['run', 'build'], { cwd: ROOT, stdio: ['ignore', 'ignore', 'inherit'] })
  execFileSync('npm', ['pack', '--ignore-scripts', '--pack-destination', root], { cwd: ROOT, stdio: 'ignore' })
  return join(root, `${packageJSON.name}-${packageJSON.version}.tgz`)
}

function shopSteps(manager: Manager): Step[] {
  const project = new Project(join(root, `shop-${manager}`))
  const compiles = [
    { name: `${manager}: the shop is installed`, run: () => createShop(project, manager) },
    { name: `${manager}: the shop compiles`, run: () => checkShop(project) },
  ]
  if (manager !== 'npm') return compiles
  return [
    ...compiles,
    { name: `its tests pass`, run: async () => void (await project.program('vitest', 'run')) },
    { name: `it sells, and all of it has landed`, run: () => sellIn(project) },
    { name: `the same in ${ENVIRONMENT}`, run: () => sellIn(project, ENVIRONMENT) },
  ]
}

async function createShop(project: Project, manager: Manager): Promise<void> {
  project.copy(join(ROOT, 'examples/shop'))
  // In place of the version, which the registry does not have yet.
  const manifest = JSON.parse(project.read('package.json')) as { dependencies: Record<string, string> }
  manifest.dependencies[packageJSON.name] = `file:${tarball}`
  // A registry may serve a new vite and not yet all that this lists for Windows alone. npm and pnpm go on without it, yarn does not.
  const pinned = manager === 'yarn' ? { resolutions: { vite: lock.packages['node_modules/vite'].version } } : {}
  project.write('package.json', JSON.stringify({ ...manifest, ...pinned }, null, 2))
  await project.install(manager)
}

async function checkShop(project: Project): Promise<void> {
  const { scripts } = JSON.parse(project.read('package.json')) as { scripts: Record<string, string> }
  for (const script of ['types', 'check'])
    await project.shell(`export PATH="$PWD/node_modules/.bin:$PATH"; ${scripts[script]}`)
}

async function sellIn(project: Project, environment?: string): Promise<string[]> {
  const { admin } = writeSecrets(project)
  return useShop(new Project(project.folder, { ADMIN_TOKEN: admin }), environment)
}

function readerSteps(): Step[] {
  const token = 'a-long-random-text-that-nobody-else-knows'
  const project = new Project(join(root, 'reader'), { ADMIN_TOKEN: token })
  const blocks = readDocumentation()
  const lines = (word: string) => blocks.filter((block) => block.language === 'sh' && block.word === word)
  return [
    {
      name: 'what README and docs install',
      async run() {
        project.write('package.json', JSON.stringify({ name: 'my-app', private: true, type: 'module' }))
        for (const { text } of lines('install')) await project.shell(text.replace(/(?<= )durable-outbox\b/, tarball))
      },
    },
    {
      name: 'their code compiles',
      async run() {
        writeBlocks(blocks, project)
        await project.program('wrangler', 'types')
        await project.program('tsc')
      },
    },
    { name: 'their tests pass', run: async () => void (await project.program('vitest', 'run')) },
    { name: 'their commands run', run: () => runCommands(project, token, lines('run')) },
  ]
}

async function runCommands(project: Project, token: string, commands: readonly Block[]): Promise<string[]> {
  project.write('.dev.vars', `ADMIN_TOKEN=${token}\n`)
  const worker = await Runtime.start({ project: project.folder, state: join(project.folder, '.wrangler/state') })
  // The command finds a Worker by the port in the configuration, and the documentation's 8787 may be taken here.
  const dev = `{ "dev": { "port": ${new URL(worker.url).port} },`
  project.write('wrangler.jsonc', project.read('wrangler.jsonc').replace('{', dev))
  try {
    await postJSON(`${worker.url}/customers/acme`, { name: 'Alice', email: 'alice@example.com' }, CALL_MS_MAX)
    const problems = await awaitLanding(project, { 'Customer.created': 1 })
    for (const { text } of commands) await project.shell(text)
    return problems
  } finally {
    await worker.kill()
  }
}

function secondsSince(startedMs: number): number {
  return Math.round((performance.now() - startedMs) / 100) / 10
}
