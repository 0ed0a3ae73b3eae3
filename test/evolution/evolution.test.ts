import { env } from 'cloudflare:workers'
import { type EventRecord, eventRecordSchema } from 'durable-outbox'
import { acceptedRecords, droppedRecords } from 'durable-outbox/testing'
import { describe, expect, it } from 'vitest'
import { committed, createClient } from '../ingest/client.ts'
import { drain, inNotes } from '../notes.ts'
import { commit, rowsOf } from '../lake/table.ts'
import { NEWER, OLDEST } from './records.ts'

const records = [OLDEST, NEWER].map((text) => JSON.parse(text) as EventRecord)

/** A row of the log as some version of the library left it: the record without what the row and the state say. */
function content({ ns: _ns, source: _s, epoch: _e, lsn: _l, txid: _t, _meta, ...rest }: EventRecord): string {
  return JSON.stringify([rest])
}

describe('a record of another version', () => {
  it('is taken by the lake, which keeps all that it has columns for', async () => {
    await env.LAKE.send(records)
    await commit()
    const rows = await rowsOf('evolution/DO/Notes')
    expect(rows).toMatchObject([
      { type: 'Customer.created', lsn: 1n, op: null },
      { type: 'cdc.truncate', lsn: 2n, op: 't', store: 'blob', visibility: 'partner' },
    ])
    expect(rows.map((row) => JSON.parse(String(row['_meta'])))).toEqual(records.map(({ _meta }) => _meta))
    expect(rows[1]).not.toHaveProperty('trace_id')
  })

  it('is brought to the pipeline by the relay, where an outbox holds it', async () => {
    await inNotes('evolution', ({ ctx }) => {
      const { sql } = ctx.storage
      for (const [index, record] of records.entries())
        sql.exec(
          'INSERT INTO _cdc_outbox (lsn, count, bytes, txid, time, events) VALUES (?, 1, ?, ?, ?, ?)',
          index + 1,
          (index + 1) * 1_000,
          record.txid,
          Date.parse(record.timestamp),
          content(record),
        )
    })
    await drain('evolution')
    expect(droppedRecords('evolution')).toEqual([])
    expect(acceptedRecords('evolution')).toMatchObject([
      { id: records[0]?.id, type: 'Customer.created', lsn: 1, txid: records[0]?.txid },
      { id: records[1]?.id, op: 't', store: 'blob', lsn: 2, timestamp: '2027-06-01T08:30:00.000001Z' },
    ])
  })

  it('is taken by the ingest, which hands on all that the pipeline has columns for', async () => {
    const sent = records.map((record) => ({ ...record, ns: 'evolution-ingest' }))
    expect(await (await createClient())(sent)).toMatchObject(committed(2))
    const { trace_id: _, ...newer } = sent[1] as EventRecord & { trace_id: string }
    expect(acceptedRecords('evolution-ingest')).toEqual([sent[0], newer])
  })

  it('is refused where it does not say what every version says', () => {
    for (const name of ['id', 'type', 'timestamp', 'ns', 'source', '_meta'])
      expect(eventRecordSchema.safeParse({ ...records[0], [name]: undefined }).success).toBe(false)
  })
})
