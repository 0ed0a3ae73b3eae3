import { type StoreContext, TimeSeriesStore } from 'durable-outbox'
import type { StoreLoad } from './load.ts'

interface Reading {
  key: string
  value: number
  timestamp: number
}

export function timeSeriesLoad(ctx: StoreContext): StoreLoad {
  const { sql } = ctx.storage
  const readings = new TimeSeriesStore(ctx, 'Reading')
  sql.exec(`CREATE TABLE IF NOT EXISTS bare_reading (
    key TEXT, timestamp INTEGER, value REAL NOT NULL, PRIMARY KEY (key, timestamp)
  ) WITHOUT ROWID`)

  function insert(points: readonly Reading[]): void {
    sql.exec(
      `INSERT INTO bare_reading VALUES ${points.map(() => '(?, ?, ?)').join()}`,
      ...points.flatMap(({ key, timestamp, value }) => [key, timestamp, value]),
    )
  }

  return {
    bare: {
      single: (index) =>
        ctx.storage.transactionSync(() => {
          const { key, value, timestamp } = readingOf(index)
          sql.exec('INSERT INTO bare_reading VALUES (?, ?, ?) ON CONFLICT DO NOTHING', key, timestamp, value)
        }),
      batch: (index, rows) =>
        ctx.storage.transactionSync(() => {
          const points = readingsOf(index, rows)
          for (let first = 0; first < rows; first += 33) insert(points.slice(first, first + 33))
        }),
    },
    captured: {
      single: (index) => {
        const { key, value, timestamp } = readingOf(index)
        readings.put(key, value, timestamp)
      },
      batch: (index, rows) => readings.putBatch(readingsOf(index, rows)),
    },
    clear: () => {
      sql.exec('DELETE FROM bare_reading')
      sql.exec('DELETE FROM timeseries_Reading')
    },
  }
}

function readingsOf(index: number, rows: number): Reading[] {
  return Array.from({ length: rows }, (_, row) => readingOf(index + row))
}

/** One reading a second, of ten sensors in turn. */
function readingOf(index: number): Reading {
  return {
    key: `sensor_${index % 10}`,
    value: 20 + (index % 100) / 10,
    timestamp: 1_790_000_000_000 + index * 1_000,
  }
}
