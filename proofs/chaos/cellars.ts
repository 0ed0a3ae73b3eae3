// The clients of the cellars, and what must be true of these at the end. A cellar may lose what it held: it is emptied, and put
// back to an earlier copy. What it holds then must be in the table, once, and no LSN may stand for two events without saying so.

import { setTimeout as pause } from 'node:timers/promises'
import type { Client } from './client.ts'
import type { Findings } from './findings.ts'
import type { Gate } from './gate.ts'
import type { CellarReport } from './operation.ts'
import type { Row } from './table.ts'
import { between, createRandom, type Random } from '../harness/random.ts'

export const CELLARS = ['cellar-1', 'cellar-2', 'cellar-3']

const BOTTLES_MAX = 12
/** In so many steps of a client, stock is taken twice, and the cellar emptied once: often enough for a kill to meet each. */
const ROUND = { steps: 8, stocktakings: [3, 6], emptying: 7 } as const
const STOCK_MS_MAX = 30_000

/** What its client knows of a cellar. */
interface Known {
  /** Bottles that it has acknowledged since it was emptied, and must have. */
  readonly acknowledged: ReadonlySet<string>
  readonly stocktakings: number
}

export class Cellars {
  readonly #client: Client
  readonly #gate: Gate
  readonly #known = new Map<string, Known>(CELLARS.map((name) => [name, { acknowledged: new Set(), stocktakings: 0 }]))
  readonly #work: Promise<unknown>
  #isOver = false
  #mayEmpty = true

  constructor(client: Client, { gate, seed }: { gate: Gate; seed: number }) {
    this.#client = client
    this.#gate = gate
    this.#work = Promise.all(CELLARS.map((name) => this.#run(name, createRandom(seed, name))))
  }

  async stop(): Promise<void> {
    this.#isOver = true
    await this.#work
  }

  /**
   * To be called while the runtime is down: from now on none is emptied, and each is filled slowly. What a lake has lost of an
   * earlier epoch, nobody could send again.
   */
  keep(): void {
    this.#mayEmpty = false
  }

  /** To be called when the cellars are copied. @returns what is to be called when they are that copy again. */
  copy(): () => void {
    const copied = [...this.#known]
    return () => {
      for (const [name, { acknowledged }] of copied) this.#update(name, { acknowledged })
    }
  }

  /** Takes stock of all cellars, to the end. */
  async takeStock(): Promise<void> {
    for (const name of CELLARS) await this.#takeStock(name)
    const deadline = Date.now() + STOCK_MS_MAX
    for (const name of CELLARS)
      while ((await this.#client.cellar(name)).isTakingStock && Date.now() < deadline) await pause(100)
  }

  /** Compares what the cellars report with what has landed of them. */
  check(findings: Findings, reports: ReadonlyMap<string, CellarReport>, rows: readonly Row[]): void {
    const byObject = Map.groupBy(rows, ({ ns }) => ns)
    for (const [name, report] of reports) {
      checkBottles(findings, name, { report, known: this.#of(name), rows: byObject.get(name) ?? [] })
      checkLogs(findings, name, { report, rows: byObject.get(name) ?? [] })
    }
  }

  async #run(name: string, random: Random): Promise<void> {
    for (let step = 0; !this.#isOver; step = (step + 1) % ROUND.steps) {
      await this.#gate.passed
      if (step === ROUND.emptying && this.#mayEmpty) await this.#empty(name)
      else if (ROUND.stocktakings.some((each) => each === step)) await this.#takeStock(name)
      else await this.#fill(name, random)
      await pause(between(random, 10, 120))
    }
  }

  async #fill(name: string, random: Random): Promise<void> {
    const tokens = Array.from({ length: between(random, 1, this.#mayEmpty ? BOTTLES_MAX : 2) }, () =>
      crypto.randomUUID(),
    )
    const { acknowledged: before } = this.#of(name)
    const reply = await this.#client.askCellar(name, 'fill', tokens)
    // If the cellar was put back to a copy meanwhile, nobody knows.
    if (reply.kind !== 'answer' || this.#of(name).acknowledged !== before) return
    this.#update(name, { acknowledged: new Set([...before, ...tokens]) })
  }

  async #takeStock(name: string): Promise<void> {
    this.#update(name, { stocktakings: this.#of(name).stocktakings + 1 })
    await this.#client.askCellar(name, 'take-stock')
  }

  /** Until it is done: else it might be done later, to what was acknowledged after it. */
  async #empty(name: string): Promise<void> {
    this.#update(name, { acknowledged: new Set() })
    while (!this.#isOver && this.#mayEmpty && (await this.#client.askCellar(name, 'empty')).kind !== 'answer')
      await pause(100)
  }

  #of(name: string): Known {
    return this.#known.get(name) ?? { acknowledged: new Set(), stocktakings: 0 }
  }

  #update(name: string, change: Partial<Known>): void {
    this.#known.set(name, { ...this.#of(name), ...change })
  }
}

/** What has landed of them, in words, for the summary. */
export function describeCellars(rows: readonly Row[]): string {
  const [epochs, snapshots, forks] = [
    new Set(rows.map(({ epoch }) => epoch)).size,
    rows.filter(({ op }) => op === 'r').length,
    rows.filter((row) => isFork(row)).length,
  ]
  return `${rows.length} events of cellars landed, in ${epochs} epochs; ${snapshots} of snapshots, ${forks} marked as forks`
}

interface Facts {
  readonly report: CellarReport
  readonly known: Known
  readonly rows: readonly Row[]
}

function checkBottles(findings: Findings, name: string, { report, known, rows }: Facts): void {
  const { bottles, pendingEvents, deadLetters } = report
  findings.add('lost', pendingEvents + deadLetters, `${name}: ${pendingEvents} events wait, ${deadLetters} are dead`)
  const held = new Set(bottles)
  const gone = [...known.acknowledged].filter((token) => !held.has(token))
  findings.add('lost', gone.length, `${name}: ${gone.length} bottles were acknowledged and are not there`)
  const created = countByKey(rows.filter(({ op }) => op === 'c'))
  const taken = countByKey(rows.filter(({ op }) => op === 'r'))
  for (const [token, times] of created)
    findings.add('duplicated', times - 1, `${name}: the bottle ${token} has landed ${times} times`)
  for (const [token, times] of taken)
    findings.add('duplicated', times - known.stocktakings, `${name}: ${times} snapshots of the bottle ${token}`)
  const [unseen, untaken] = [created, taken].map((counts) => bottles.filter((token) => !counts.has(token)).length)
  findings.add('lost', unseen ?? 0, `${name}: ${unseen} bottles have not landed`)
  findings.add('lost', untaken ?? 0, `${name}: ${untaken} bottles are in no snapshot`)
}

/** Up to the present end of its log no LSN is missing, and of the events under one LSN all but one are marked as forks. */
function checkLogs(findings: Findings, name: string, { report, rows }: Omit<Facts, 'known'>): void {
  for (const [epoch, log] of Map.groupBy(rows, (row) => row.epoch)) {
    const first = log.filter((row) => !isFork(row))
    const lsns = new Set(first.map(({ lsn }) => lsn))
    findings.add('duplicated', first.length - lsns.size, `${name}: in epoch ${epoch} are unmarked forks`)
    const events = new Set(log.map(({ lsn, id }) => `${lsn} ${id}`))
    findings.add('duplicated', log.length - events.size, `${name}: in epoch ${epoch} an event has landed twice`)
    if (epoch !== report.epoch) continue
    const present = [...lsns].filter((lsn) => lsn <= report.lastLSN).length
    findings.add('gaps', report.lastLSN - present, `${name}: of ${report.lastLSN} LSNs, ${present} have landed`)
  }
}

function isFork({ _meta }: Row): boolean {
  return /"isFork":true/.test(_meta)
}

function countByKey(rows: readonly Row[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { key } of rows) if (key !== null) counts.set(key, (counts.get(key) ?? 0) + 1)
  return counts
}
