// What the stranger does with the shop: sells something, and then asks the command whether all of it has landed.

import { randomBytes, createHash } from 'node:crypto'
import { join } from 'node:path'
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
    const env = environment === undefined ? [] : ['--env', environment]
    const command = (...args: string[]) => project.program('durable-outbox', ...args)
    const problems = await awaitLanding(project, EXPECTED, env)
    const verified = await command('verify', '--url', shop.url, ...env)
    const reconciled = await command('reconcile', '--url', shop.url, ...env)
    const stats = JSON.parse(await command('outbox', `shop/${SHOP}`, 'stats', '--json', '--url', shop.url, ...env))
    const customers = JSON.parse(await command('state', 'document/Customer', '--ns', SHOP, '--json', ...env))
    const orders = JSON.parse(await command('state', 'relational/orders', '--ns', SHOP, '--json', ...env))
    const rang = await command('query', TILL_SQL, '--csv', '--config', 'head-office/wrangler.jsonc')
    return [
      ...problems,
      ...(/^proven: /m.test(verified) ? [] : [`verify: ${verified}`]),
      ...(/^proven: /m.test(reconciled) ? [] : [`reconcile: ${reconciled}`]),
      ...(stats.pendingEvents === 0 ? [] : [`stats: ${JSON.stringify(stats)}`]),
      ...(customers.length === CUSTOMERS ? [] : [`state document/Customer has ${customers.length} rows`]),
      ...(orders.length === CUSTOMERS ? [] : [`state relational/orders has ${orders.length} rows`]),
      ...(rang.includes('1900') ? [] : [`the head office has of its till: ${rang}`]),
    ]
  } finally {
    await Promise.all([shop.kill(), headOffice.kill()])
  }
}

const TILL_SQL = `SELECT data FROM events WHERE type = 'Till.rang'`

async function sell(url: string): Promise<void> {
  const shop = `${url}/shops/${SHOP}`
  await post(`${shop}/products`, { id: 'lamp', title: 'A lamp', cents: 1_900, pieces: CUSTOMERS, look: [1, 0, 0] })
  let referredBy: string | undefined
  for (let index = 0; index < CUSTOMERS; index += 1) {
    const customer = await post(`${shop}/customers`, { name: `C${index}`, email: `c${index}@example.com`, referredBy })
    referredBy = String(Reflect.get(Object(customer), 'customer'))
    await post(`${shop}/orders`, { customer: referredBy, product: 'lamp' })
  }
  await post(`${url}/tills/${TILL}`, { cents: 1_900 })
}

async function post(url: string, body: unknown): Promise<unknown> {
  const signal = AbortSignal.timeout(CALL_MS_MAX)
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(body), signal })
  if (!response.ok) throw new Error(`POST ${url} answered ${response.status}: ${await response.text()}`)
  return response.status === 204 ? undefined : response.json()
}
