// The demo's input: 3,201 films, as the commands that a client sends to the object of their year.

import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as z from 'zod'
import type { Command, Film } from '../../examples/films.ts'

/** What is sent to one object, in its order. */
export interface Assignment {
  readonly object: string
  readonly commands: readonly Command[]
}

/** What the commands leave behind once each was carried out exactly once. */
export interface Expected {
  readonly mutations: number
  readonly events: number
}

const filmsSchema = z.array(z.record(z.string(), z.union([z.string(), z.number(), z.null()])))

export function readFilms(): Film[] {
  const build = dirname(fileURLToPath(import.meta.resolve('vega-datasets')))
  return filmsSchema.parse(JSON.parse(readFileSync(join(build, '../data/movies.json'), 'utf8')))
}

/** Every film is added, each fifth with a premiere; some are rated or withdrawn later, and some commands must fail. */
export function assign(films: readonly Film[]): Assignment[] {
  const byObject = Map.groupBy(films.entries(), ([, film]) => objectOf(film))
  return Array.from(byObject, ([object, entries]) => ({
    object,
    commands: [
      ...entries.map(([index, fields]) => command(index, index % 5 === 0 ? 'premiere' : 'add', fields)),
      ...entries.filter(([index]) => index % 40 === 0).map(([index]) => command(index, 'fail')),
      ...entries.filter(([index]) => index % 4 === 0).map(([index]) => command(index, 'rate')),
      ...entries.filter(([index]) => index % 10 === 3).map(([index]) => command(index, 'withdraw')),
    ],
  }))
}

export function expectedOf(assignments: readonly Assignment[]): Expected {
  const carriedOut = assignments.flatMap(({ commands }) => commands).filter((each) => each.do !== 'fail')
  const withDomainEvent = carriedOut.filter((each) => each.do === 'premiere' || each.do === 'rate')
  return { mutations: carriedOut.length, events: carriedOut.length + withDomainEvent.length }
}

function command(index: number, action: Command['do'], fields: Film = {}): Command {
  const film = `film_${String(index).padStart(4, '0')}`
  const id = `${film}/${action}`
  switch (action) {
    case 'add':
    case 'premiere':
      return { id, film, do: action, fields }
    case 'rate':
      // No rating of the data set has two decimals, so that each of these changes its film.
      return { id, film, do: action, rating: (index % 100) / 10 + 0.05 }
    case 'withdraw':
    case 'fail':
      return { id, film, do: action }
  }
}

/** One object for each year, and for each decade before 1990, from which there are few films. */
function objectOf(film: Film): string {
  const year = Number(String(film['Release Date']).slice(-4))
  return year < 1990 ? `films-${Math.floor(year / 10) * 10}s` : `films-${year}`
}
