// The console in a real browser, over a real Worker. It needs a Chromium, which CHROMIUM names or a system has; without one it says
// that it was skipped.

import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import axe, { type AxeResults } from 'axe-core'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { Runtime } from '../../proofs/harness/runtime.ts'

const TOKEN = 's3cret'
const EVIL = '<img src=x onerror=alert(1)>'
/** A browser that asks nobody but the Worker. */
const ARGUMENTS =
  '--no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update --disable-sync'
const executablePath = [
  process.env['CHROMIUM'] ?? '',
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
].find((path) => existsSync(path))
if (executablePath === undefined)
  console.warn('the console was not tried in a browser: there is no Chromium; set CHROMIUM to one')

const state = mkdtempSync(join(tmpdir(), 'durable-outbox-console-'))

describe.skipIf(executablePath === undefined)('the console in a browser', () => {
  let worker: Runtime
  let browser: Browser
  /** What any page has complained about. */
  const complaints: string[] = []

  async function open(options: BrowserContextOptions = {}): Promise<Page> {
    const page = await (await browser.newContext({ bypassCSP: true, ...options })).newPage()
    page.on('pageerror', (error) => complaints.push(String(error)))
    page.on('dialog', (dialog) => complaints.push(dialog.message()))
    return page
  }

  async function signIn(page: Page): Promise<void> {
    await page.goto(`${worker.url}/console`)
    // The field has the focus already.
    await page.keyboard.type(TOKEN)
    await page.keyboard.press('Enter')
    await page.waitForURL('**/console')
  }

  /** An object makes itself known with its first alarm. */
  async function waitForLink(page: Page, name: string): Promise<void> {
    await vi.waitUntil(
      async () => {
        await page.reload()
        return (await page.getByRole('link', { name }).count()) === 1
      },
      { timeout: 20_000 },
    )
  }

  /** Faults that keep somebody from using a page, by axe. */
  async function faults(page: Page): Promise<string[]> {
    await page.addScriptTag({ content: axe.source })
    const { violations } = await page.evaluate<AxeResults>('axe.run()')
    return violations.filter(({ impact }) => impact === 'serious' || impact === 'critical').map(({ id }) => id)
  }

  async function write(object: string): Promise<void> {
    const body = JSON.stringify({ name: EVIL, email: 'a@example.com' })
    await fetch(`${worker.url}/customers/${encodeURIComponent(object)}`, { method: 'POST', body })
  }

  beforeAll(async () => {
    worker = await Runtime.start({ state, vars: { ADMIN_TOKEN: TOKEN } })
    browser = await chromium.launch({ executablePath: executablePath ?? '', args: ARGUMENTS.split(' ') })
    for (const object of ['acme', EVIL]) await write(object)
  })

  afterAll(async () => {
    await browser?.close()
    await worker?.kill()
    rmSync(state, { recursive: true, force: true })
  })

  it('is used by keyboard alone, from signing in to pausing an object and following its log', async () => {
    const page = await open()
    await signIn(page)
    await waitForLink(page, 'acme')
    await page.getByRole('link', { name: 'acme' }).focus()
    await page.keyboard.press('Enter')
    await page.getByText('live', { exact: true }).waitFor()
    const rows = page.locator('tbody[data-follow] tr')
    const before = await rows.count()
    await write('acme')
    await expect.poll(() => rows.count(), { timeout: 10_000 }).toBe(before + 2)
    await page.getByRole('button', { name: 'Pause' }).focus()
    await page.keyboard.press('Enter')
    await page.getByText('Paused: events are captured').waitFor()
    await page.getByRole('button', { name: 'Resume' }).press('Enter')
    await page.getByText('Everything is as it should be.').waitFor()
    expect(complaints).toEqual([])
  })

  it('shows what others wrote as text, has no serious fault by axe, and fits a phone', async () => {
    for (const options of [
      { viewport: { width: 1_200, height: 900 }, colorScheme: 'light' as const },
      { viewport: { width: 390, height: 844 }, colorScheme: 'dark' as const },
    ]) {
      const page = await open(options)
      await page.goto(`${worker.url}/console/sign-in`)
      expect(await faults(page)).toEqual([])
      await signIn(page)
      expect(await faults(page)).toEqual([])
      await waitForLink(page, EVIL)
      await page.getByRole('link', { name: EVIL }).click()
      await page.getByRole('heading', { name: 'Log' }).waitFor()
      await page.locator('summary').last().click()
      expect(await faults(page)).toEqual([])
      expect(await page.evaluate('document.documentElement.scrollWidth > innerWidth')).toBe(false)
      await page.getByRole('link', { name: 'Lake' }).click()
      expect(await faults(page)).toEqual([])
    }
    expect(complaints).toEqual([])
  })
})
