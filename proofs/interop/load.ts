// What is committed before the engines look: films and customers through the Worker's own routes, in waves, so that the
// table gets several snapshots.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import type { Command, Film } from '../../examples/films.ts'

/** One request, and how many events it must produce in the table. */
export interface Request {
  readonly path: string
  readonly body: unknown
  readonly events: number
}

const WAVES = 5
const FILMS_A_REQUEST = 20
/** Names that a path, a partition or SQL might not handle. */
const FILM_OBJECTS = ['arthouse', 'söndag & co', "d'essai"]
const CUSTOMER_OBJECTS = ['acme', 'tyrell/eu']

const EVENTS_OF: Readonly<Record<Command['do'], number>> = { add: 1, premiere: 2, rate: 2, withdraw: 1, fail: 0 }

const filmShape = z.record(z.string(), z.union([z.string(), z.number(), z.null()]))
const FILMS = join(import.meta.dirname, '../../node_modules/vega-datasets/data/movies.json')

/**
 * The load, wave by wave. Each wave sends one request twice, and its commands count once. The last one has customers alone, and
 * so few partitions that each has a file of its own.
 */
export async function createLoad(): Promise<Request[][]> {
  const films = z.array(filmShape).parse(JSON.parse(await readFile(FILMS, 'utf8')))
  const waves = Array.from({ length: WAVES }, (_, wave) => {
    const requests = FILM_OBJECTS.map((object, index) => {
      const first = (wave * FILM_OBJECTS.length + index) * FILMS_A_REQUEST
      return filmRequest(object, first, films.slice(first, first + FILMS_A_REQUEST))
    })
    const again = requests.slice(0, 1).map((request) => ({ ...request, events: 0 }))
    return [...requests, ...again, ...customersOf(wave)]
  })
  return [...waves, customersOf(WAVES)]
}

function customersOf(wave: number): Request[] {
  return CUSTOMER_OBJECTS.map((object) => customerRequest(object, wave))
}

function filmRequest(object: string, first: number, films: readonly Film[]): Request {
  const body = films.flatMap((fields, index) => commandsFor(first + index, fields))
  const events = body.reduce((sum, command) => sum + EVENTS_OF[command.do], 0)
  return { path: `/films/${encodeURIComponent(object)}`, body, events }
}

/** The commands for a film: added or premiered, then perhaps a failure, a rating and a withdrawal. */
function commandsFor(index: number, fields: Film): Command[] {
  const film = `film-${index}`
  const commands: Command[] = [{ id: `${film}-1`, do: index % 5 === 0 ? 'premiere' : 'add', film, fields }]
  // Not for a film that is withdrawn below: a repeated command would find no film.
  if (index % 11 === 0 && index % 7 !== 0) commands.push({ id: `${film}-2`, do: 'fail', film })
  // Above every existing rating, because a change to the same value emits nothing.
  if (index % 2 === 0) commands.push({ id: `${film}-3`, do: 'rate', film, rating: 10.5 + index })
  if (index % 7 === 0) commands.push({ id: `${film}-4`, do: 'withdraw', film })
  return commands
}

function customerRequest(object: string, wave: number): Request {
  const body = { name: `Renée "${wave}" \u{1f3ac}`, email: `wave-${wave}@example.com` }
  return { path: `/customers/${encodeURIComponent(object)}`, body, events: 2 }
}
