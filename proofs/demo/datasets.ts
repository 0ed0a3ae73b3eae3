// The demo's other inputs, of the vega-datasets package: the characters of Les Misérables (graph), airports and the
// flights between them (tables), 20,000 flights (columns), stocks (time series), penguins (vectors).

import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as z from 'zod'
import type { DatasetCommand, Penguin } from '../../examples/datasets.ts'

/** Commands for one object, in their order, and the events that they make once each was carried out exactly once. */
export interface DatasetAssignment {
  readonly object: string
  readonly commands: readonly DatasetCommand[]
  readonly mutations: number
}

const DAY_MS = 86_400_000
/** Prices are of the first of each month; a bucket of 30 days holds one or two of them. */
const BUCKET_MS = 30 * DAY_MS
/** Routes with fewer flights are closed. */
const FLIGHTS_MIN = 5

export function assignDatasets(): DatasetAssignment[] {
  return [characters(), airports(), flights(), stocks(), penguins()]
}

function characters(): DatasetAssignment {
  const { nodes, links } = z
    .object({
      nodes: z.array(z.object({ name: z.string(), group: z.number() })),
      links: z.array(z.object({ source: z.number(), target: z.number(), value: z.number() })),
    })
    .parse(JSON.parse(read('miserables.json')))
  const idOf = (index: number): string => `Person/${nodes[index]?.name}`
  const forgotten = idOf(0)
  const theirs = links.filter(({ source, target }) => idOf(source) === forgotten || idOf(target) === forgotten)
  return {
    object: 'les-miserables',
    commands: [
      { id: 'people', do: 'people', people: nodes.map(({ group }, index) => ({ id: idOf(index), data: { group } })) },
      ...inParts(links, 50).map((part, index): DatasetCommand => ({
        id: `acquaint-${index}`,
        do: 'acquaint',
        acquaintances: part.map(({ source, target, value }) => ({
          from: idOf(source),
          to: idOf(target),
          type: 'appears with',
          data: { scenes: value },
        })),
      })),
      { id: 'forget', do: 'forget', person: forgotten },
    ],
    mutations: nodes.length + links.length + theirs.length + 1,
  }
}

function airports(): DatasetAssignment {
  const known = z
    .array(
      z.object({
        iata: z.string(),
        name: z.string(),
        city: z.string(),
        latitude: z.coerce.number(),
        longitude: z.coerce.number(),
      }),
    )
    .parse(readCSV('airports.csv'))
  const routes = z
    .array(z.object({ origin: z.string(), destination: z.string(), count: z.coerce.number() }))
    .parse(readCSV('flights-airport.csv'))
    .map(({ count, ...route }) => ({ ...route, flights: count }))
  const renamed = known.filter((_, index) => index % 50 === 0)
  return {
    object: 'airports',
    commands: [
      ...inParts(known, 100).map((part, index): DatasetCommand => ({
        id: `airports-${index}`,
        do: 'airports',
        airports: part,
      })),
      ...inParts(routes, 100).map((part, index): DatasetCommand => ({
        id: `routes-${index}`,
        do: 'routes',
        routes: part,
      })),
      ...renamed.map(({ iata, name }): DatasetCommand => ({
        id: `rename-${iata}`,
        do: 'rename',
        iata,
        name: `${name} Airport`,
      })),
      { id: 'close', do: 'close routes', flightsBelow: FLIGHTS_MIN },
    ],
    mutations:
      known.length + routes.length + renamed.length + routes.filter((route) => route.flights < FLIGHTS_MIN).length,
  }
}

function flights(): DatasetAssignment {
  const flown = z
    .array(
      z.object({
        date: z.string(),
        delay: z.number(),
        distance: z.number(),
        origin: z.string(),
        destination: z.string(),
      }),
    )
    .parse(JSON.parse(read('flights-20k.json')))
  const batches = inParts(flown, 1_000)
  return {
    object: 'flights',
    commands: batches.map((part, index) => ({ id: `flights-${index}`, do: 'flights', flights: part })),
    // One event for each batch and month.
    mutations: batches.reduce((sum, batch) => sum + new Set(batch.map(({ date }) => date.slice(0, 7))).size, 0),
  }
}

function stocks(): DatasetAssignment {
  const prices = z
    .array(z.object({ symbol: z.string(), date: z.string(), price: z.coerce.number() }))
    .parse(readCSV('stocks.csv'))
    .map(({ symbol, date, price }) => ({ key: symbol, timestamp: new Date(`${date} UTC`).toISOString(), value: price }))
  const buckets = new Set(prices.map(({ key, timestamp }) => `${key} ${Math.floor(Date.parse(timestamp) / BUCKET_MS)}`))
  return {
    object: 'stocks',
    commands: [
      ...inParts(prices, 100).map((part, index): DatasetCommand => ({
        id: `prices-${index}`,
        do: 'prices',
        prices: part,
      })),
      { id: 'roll up', do: 'roll up', bucketMs: BUCKET_MS },
    ],
    mutations: prices.length + buckets.size,
  }
}

function penguins(): DatasetAssignment {
  const measured = z
    .array(
      z.object({
        Species: z.string(),
        Island: z.string(),
        'Beak Length (mm)': z.number().nullable(),
        'Beak Depth (mm)': z.number().nullable(),
        'Flipper Length (mm)': z.number().nullable(),
        'Body Mass (g)': z.number().nullable(),
        Sex: z.string().nullable(),
      }),
    )
    .parse(JSON.parse(read('penguins.json')))
    .flatMap((row, index): Penguin[] => {
      const sizes = [row['Beak Length (mm)'], row['Beak Depth (mm)'], row['Flipper Length (mm)'], row['Body Mass (g)']]
      const embedding = sizes.filter((size) => size !== null)
      if (embedding.length < sizes.length) return []
      const { Species: species, Island: island, Sex: sex } = row
      return [
        { id: `penguin-${index}`, content: `${species} of ${island}`, embedding, metadata: { species, island, sex } },
      ]
    })
  const released = measured.filter((_, index) => index % 20 === 0)
  return {
    object: 'penguins',
    commands: [
      ...inParts(measured, 50).map((part, index): DatasetCommand => ({
        id: `penguins-${index}`,
        do: 'penguins',
        penguins: part,
      })),
      ...released.map(({ id }): DatasetCommand => ({ id: `release-${id}`, do: 'release', penguin: id })),
    ],
    mutations: measured.length + released.length,
  }
}

function read(file: string): string {
  const build = dirname(fileURLToPath(import.meta.resolve('vega-datasets')))
  return readFileSync(join(build, '../data', file), 'utf8')
}

/** Rows of a CSV file (RFC 4180) by the names in its first line. */
function readCSV(file: string): Record<string, string>[] {
  const [header = [], ...rows] = read(file)
    .split(/\r?\n/)
    .filter((line) => line !== '')
    .map((line) =>
      Array.from(line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g), ([, quoted, plain = '']) =>
        quoted === undefined ? plain : quoted.replaceAll('""', '"'),
      ),
    )
  return rows.map((row) => Object.fromEntries(header.map((name, index) => [name, row[index] ?? ''])))
}

function inParts<Item>(items: readonly Item[], size: number): Item[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  )
}
