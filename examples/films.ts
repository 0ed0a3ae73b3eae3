// The object that `npm run demo` loads: a year's films, changed by commands that may arrive twice, and a ledger that
// plain SQL keeps beside the store, so that what was committed can be told without asking the library.

import { CDCDurableObject, DocumentStore } from 'durable-outbox'

/** A film as the vega-datasets package has it. */
export type Film = Record<string, string | number | null>

/** What a client asks for. The id is the client's own: a command that was carried out already changes nothing. */
export type Command = { id: string } & (
  | { do: 'add'; film: string; fields: Film }
  /** Adds a film and announces it to the world, in one transaction. */
  | { do: 'premiere'; film: string; fields: Film }
  | { do: 'rate'; film: string; rating: number }
  | { do: 'withdraw'; film: string }
  /** Changes the film, emits an event, and then fails: nothing of it may remain. */
  | { do: 'fail'; film: string }
)

/** A mutation that was committed, in the order of commits. */
export type LedgerEntry = { command: string; op: 'c' | 'u' | 'd'; film: string }

export class Films extends CDCDurableObject {
  films = new DocumentStore<Film>(this.ctx, 'Film')

  constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
    super(ctx, env)
    ctx.storage.sql.exec(
      'CREATE TABLE IF NOT EXISTS ledger (seq INTEGER PRIMARY KEY, command TEXT UNIQUE, op TEXT, film TEXT)',
    )
  }

  /** Carries out commands, each in its own transaction. @returns the ids of those that failed on purpose. */
  apply(commands: readonly Command[]): string[] {
    return commands.filter((command) => !this.#carryOut(command)).map((command) => command.id)
  }

  /** The films that there are, in pages. */
  page(offset: number) {
    return this.films.query({ orderBy: '$id', limit: 1_000, offset })
  }

  ledger(): LedgerEntry[] {
    return this.ctx.storage.sql.exec<LedgerEntry>('SELECT command, op, film FROM ledger ORDER BY seq').toArray()
  }

  #carryOut(command: Command): boolean {
    const attribution = { actor: 'User/nathan', correlationId: command.id }
    try {
      this.ctx.transactionSync((tx) => {
        const known = tx.execute('SELECT 1 FROM ledger WHERE command = ?', command.id)
        if (known.length > 0) return
        const op = this.#change(command)
        tx.execute('INSERT INTO ledger (command, op, film) VALUES (?, ?, ?)', command.id, op, command.film)
        if (command.do === 'premiere')
          tx.emit({ type: 'Film.premiered', data: { film: command.film }, visibility: 'public' })
        if (command.do === 'rate')
          tx.emit({ type: 'Film.rated', actor: 'User/critic', data: { film: command.film, rating: command.rating } })
        if (command.do === 'fail') throw new FailedOnPurpose()
      }, attribution)
      return true
    } catch (error) {
      if (error instanceof FailedOnPurpose) return false
      throw error
    }
  }

  #change(command: Command): LedgerEntry['op'] {
    switch (command.do) {
      case 'add':
      case 'premiere':
        this.films.create({ ...command.fields, $id: command.film })
        return 'c'
      case 'rate':
        this.films.update(command.film, { 'IMDB Rating': command.rating })
        return 'u'
      case 'withdraw':
        this.films.delete(command.film)
        return 'd'
      case 'fail':
        this.films.update(command.film, { Title: 'a change that must not last' })
        return 'u'
    }
  }
}

class FailedOnPurpose extends Error {}
