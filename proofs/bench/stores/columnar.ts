import { ColumnarStore, type StoreContext } from 'durable-outbox'
import { CHUNK_ROWS_MAX } from '../../../src/stores/columnar/chunk.ts'
import type { StoreLoad } from './load.ts'

interface Flight {
  date: string
  delay: number
  distance: number
  origin: string
  destination: string
}

const COLUMNS = ['date', 'delay', 'distance', 'origin', 'destination'] as const
const AIRPORTS = ['ATL', 'DFW', 'LAX', 'ORD']

export function columnarLoad(ctx: StoreContext): StoreLoad {
  const { sql } = ctx.storage
  const flights = new ColumnarStore<Flight>(ctx, 'flights', { partitionBy: 'origin' })
  sql.exec(
    `CREATE TABLE IF NOT EXISTS bare_flights (
       partition TEXT, first INTEGER, count INTEGER NOT NULL, statistics TEXT NOT NULL,
       c0 TEXT, c1 TEXT, c2 TEXT, c3 TEXT, c4 TEXT, PRIMARY KEY (partition, first)
     ) WITHOUT ROWID`,
  )
  return {
    bare: {
      single: (index) => ctx.storage.transactionSync(() => insertBare(sql, flightsFrom(index, 1))),
      batch: (index, rows) => ctx.storage.transactionSync(() => insertBare(sql, flightsFrom(index, rows))),
    },
    captured: {
      single: (index) => void flights.insertBatch(flightsFrom(index, 1)),
      batch: (index, rows) => void flights.insertBatch(flightsFrom(index, rows)),
    },
    clear: () => {
      sql.exec('DELETE FROM bare_flights')
      sql.exec('DELETE FROM columnar_flights')
    },
  }
}

/** The store's chunks and statistics, made by hand: for these columns only, and without checking any value. */
function insertBare(sql: SqlStorage, flights: readonly Flight[]): void {
  const partitions = Map.groupBy(flights, ({ origin }) => origin)
  const last = new Map(
    sql
      .exec<{ partition: string; first: number; count: number; statistics: string }>(
        `SELECT partition, first, count, statistics FROM json_each(?) AS given JOIN bare_flights
         ON partition = given.value AND first = (SELECT max(first) FROM bare_flights WHERE partition = given.value)`,
        JSON.stringify([...partitions.keys()]),
      )
      .toArray()
      .map((chunk) => [chunk.partition, chunk]),
  )
  for (const [partition, rows] of partitions) {
    const texts = COLUMNS.map((column) => JSON.stringify(rows.map((row) => row[column])).slice(1, -1))
    const bounds = COLUMNS.map((column) => boundsOf(rows.map((row) => row[column])))
    const chunk = last.get(partition)
    if (chunk !== undefined && chunk.count + rows.length <= CHUNK_ROWS_MAX) {
      const known = JSON.parse(chunk.statistics) as Bounds[]
      sql.exec(
        `UPDATE bare_flights SET count = ?, statistics = ?,
           c0 = c0 || ?, c1 = c1 || ?, c2 = c2 || ?, c3 = c3 || ?, c4 = c4 || ? WHERE partition = ? AND first = ?`,
        chunk.count + rows.length,
        JSON.stringify(
          bounds.map(({ min, max }, column) => boundsOf([min, max, known[column]?.min, known[column]?.max])),
        ),
        ...texts.map((text) => `,${text}`),
        partition,
        chunk.first,
      )
    } else
      sql.exec(
        'INSERT INTO bare_flights VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
        partition,
        chunk === undefined ? 0 : chunk.first + chunk.count,
        rows.length,
        JSON.stringify(bounds),
        ...texts,
      )
  }
}

type Value = string | number | undefined

interface Bounds {
  min: Value
  max: Value
}

function boundsOf([min, ...values]: readonly Value[]): Bounds {
  let max = min
  for (const value of values)
    if (value === undefined || min === undefined || max === undefined) continue
    else if (value < min) min = value
    else if (value > max) max = value
  return { min, max }
}

function flightsFrom(index: number, rows: number): Flight[] {
  return Array.from({ length: rows }, (_, row) => flightOf(index + row))
}

function flightOf(index: number): Flight {
  return {
    date: '2001/01/01 00:47',
    delay: (index % 90) - 15,
    distance: 300 + (index % 1_000),
    origin: AIRPORTS[index % AIRPORTS.length] ?? '',
    destination: AIRPORTS[(index + 1) % AIRPORTS.length] ?? '',
  }
}
