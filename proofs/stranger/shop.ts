// What the stranger does with the shop: sells something, and then asks the command whether all of it has landed.

import { createHash, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { postJSON } from '../harness/post.ts'
import { Runtime } from '../harness/runtime.ts'
import { awaitLanding } from './landing.ts'
import type { Project } from './project.ts'

const SHOP = 'oslo'
const TILL = 'harbour'
const CUSTOMERS = 20
const CALL_MS_MAX = 20_000

/** What must be in the shop's lake: the events of each type. A customer refers the next one, and each buys a lamp. */
const EXPECTED = { 'Customer.signedUp': CUSTOMERS, 'Order.placed': CUSTOMERS, 'Order.shipped': CUSTOMERS } as const

export interface Tokens {
  readonly admin: string
  readonly till: string
}

/** Gives both Workers their secrets, as a user does for `wrangler dev`. */
export function writeSecrets(project: Project): Tokens {
  const tokens = { admin: randomBytes(32).toString('hex'), till: randomBytes(32).toString('hex') }
  const sha256 = createHash('sha256').update(tokens.till).digest('hex')
  const senders = JSON.stringify([{ name: 'tills', sha256, ns: [TILL] }])
  project.write('.dev.vars', `ADMIN_TOKEN=${tokens.admin}\nHEAD_OFFICE_TOKEN=${tokens.till}\n`)
  project.write('head-office/.dev.vars', `ADMIN_TOKEN=${tokens.admin}\nINGEST_TOKENS='${senders}'\n`)
  return tokens
}

/** Runs both Workers and everything that the command can do with them. @returns what does not hold. */
export async function useShop(project: Project, environment?: string): Promise<string[]> {
  const { folder } = project
  const headOffice = await Runtime.start({
    project: folder,
    config: join(folder, 'head-office/wrangler.jsonc'),
    state: join(folder, 'head-office/.wrangler/state'),
  })
  const shop = await Runtime.start({
    project: folder,
    state: join(folder, '.wrangler/state'),
    ...(environment !== undefined && { environment }),
    vars: { HEAD_OFFICE_URL: `${headOffice.url}/ingest` },
  })
  try {
    await sell(shop.url)
    const flags = environment === undefined ? [] : ['--env', environment]
    const problems = await awaitLanding(project, EXPECTED, flags)
    return [...problems, ...(await askCommand(project, shop.url, flags))]
  } finally {
    await Promise.all([shop.kill(), headOffice.kill()])
  }
}

/** Each command, and what its output must have. @returns those that have not. */
async function askCommand(project: Project, url: string, flags: readonly string[]): Promise<string[]> {
  const rows = new RegExp(`^(?:"?${SHOP}"?,.*\\r\\n){${CUSTOMERS}}$`, 'm')
  const questions: readonly (readonly [command: readonly string[], output: RegExp])[] = [
    [['verify', '--url', url, ...flags], /^proven: /m],
    [['reconcile', '--url', url, ...flags], /^proven: /m],
    [['outbox', `shop/${SHOP}`, 'stats', '--url', url, ...flags], /^pendingEvents +0$/m],
    [['state', 'document/Customer', '--ns', SHOP, '--csv', ...flags], rows],
    [['state', 'relational/orders', '--ns', SHOP, '--csv', ...flags], rows],
    [['query', TILL_SQL, '--csv', '--config', 'head-office/wrangler.jsonc'], /1900/],
  ]
  const problems: string[] = []
  for (const [command, output] of questions) {
    const printed = await project.program('durable-outbox', ...command)
    if (!output.test(printed)) problems.push(`${command.join(' ')} printed: ${printed}`)
  }
  return problems
}

const TILL_SQL = `SELECT data FROM events WHERE type = 'Till.rang'`

async function sell(url: string): Promise<void> {
  const shop = `${url}/shops/${SHOP}`
  const product = { id: 'lamp', title: 'A lamp', cents: 1_900, pieces: CUSTOMERS, look: [1, 0, 0] }
  await postJSON(`${shop}/products`, product, CALL_MS_MAX)
  let referredBy: string | undefined
  for (let index = 0; index < CUSTOMERS; index += 1) {
    const person = { name: `C${index}`, email: `c${index}@example.com`, referredBy }
    const { customer } = (await postJSON(`${shop}/customers`, person, CALL_MS_MAX)) as { customer: string }
    await postJSON(`${shop}/orders`, { customer, product: 'lamp' }, CALL_MS_MAX)
    referredBy = customer
  }
  await postJSON(`${url}/tills/${TILL}`, { cents: 1_900 }, CALL_MS_MAX)
}
