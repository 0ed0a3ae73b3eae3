// A captured table against the same table without capture, written by plain SQL. The other side's statements go past what
// capture does around each one, as in an object that does not capture.

import type { CaptureContext } from 'durable-outbox'
import type { StoreLoad } from './load.ts'

/** Rows that are there to be updated. */
const ROWS = 500

const COLUMNS = 'id INTEGER PRIMARY KEY, name TEXT NOT NULL, city TEXT, score REAL, n INTEGER NOT NULL'

type Exec = SqlStorage['exec']

export function captureInsertLoad(ctx: CaptureContext): StoreLoad {
  const { bare, captured } = prepare(ctx)
  return {
    bare: insertSide(bare, 'bare_people'),
    captured: insertSide(captured, 'people'),
    clear: () => {
      bare('DELETE FROM bare_people')
      clearUnseen(ctx, bare)
    },
  }
}

export function captureUpdateLoad(ctx: CaptureContext): StoreLoad {
  const { bare, captured } = prepare(ctx)
  for (const table of ['bare_people', 'people']) insertSide(bare, table).batch(0, ROWS)
  return { bare: updateSide(bare, 'bare_people'), captured: updateSide(captured, 'people'), clear: () => undefined }
}

function prepare(ctx: CaptureContext): { bare: Exec; captured: Exec } {
  const { sql } = ctx.storage
  const captured: Exec = (query, ...bindings) => sql.exec(query, ...bindings)
  // The platform's own method, which is on the prototype.
  const own: unknown = Reflect.get(Object.getPrototypeOf(sql), 'exec')
  if (typeof own !== 'function') throw new Error('bench: sql.exec is not on its prototype')
  const bare = own.bind(sql) as Exec
  for (const table of ['bare_people', 'people']) bare(`CREATE TABLE IF NOT EXISTS ${table} (${COLUMNS})`)
  ctx.capture('people')
  return { bare, captured }
}

/** Deleting the captured rows would make as many events, so their table is made again. */
function clearUnseen(ctx: CaptureContext, bare: Exec): void {
  bare('DROP TABLE people')
  bare(`CREATE TABLE people (${COLUMNS})`)
  ctx.capture('people')
}

function insertSide(exec: Exec, table: string): StoreLoad['bare'] {
  return {
    single: (index) =>
      void exec(
        `INSERT INTO ${table} (name, city, score, n) VALUES (?, ?, ?, ?)`,
        `Person ${index}`,
        'Oslo',
        0.25,
        index,
      ),
    batch: (index, rows) =>
      void exec(
        `INSERT INTO ${table} (name, city, score, n) SELECT 'Person ' || value, 'Oslo', 0.25, value FROM json_each(?)`,
        JSON.stringify(Array.from({ length: rows }, (_, row) => index + row)),
      ),
  }
}

function updateSide(exec: Exec, table: string): StoreLoad['bare'] {
  return {
    single: (index) => void exec(`UPDATE ${table} SET n = n + 1, city = ? WHERE id = ?`, 'Bergen', 1 + (index % ROWS)),
    batch: (index) => void exec(`UPDATE ${table} SET n = ?`, index),
  }
}
