import { eventLimits, type EventInput, eventRecordSchema } from 'durable-outbox'
import { describe, expect, it } from 'vitest'
import { drain, failureOf, inNotes } from '../notes.ts'

let objects = 0
function freshName(): string {
  return `emit-${objects++}`
}

/** Emits, beside a mutation, what the compiler might not allow. */
function emitAnything(name: string, event: unknown): Promise<{ code?: string; message: string }> {
  return inNotes(name, (notes) =>
    failureOf(() =>
      notes.ctx.transactionSync((tx) => {
        tx.execute("INSERT INTO notes (text) VALUES ('beside the event')")
        tx.emit(event as EventInput)
      }),
    ),
  )
}

function sized(bytes: number): EventInput {
  const event = { id: '01ARZ3NDEKTSV4RRFFQ69G5FAV', type: 'A', data: { body: '' } }
  return { ...event, data: { body: 'x'.repeat(bytes - JSON.stringify(event).length) } }
}

function nested(levels: number): object {
  return levels === 0 ? {} : { deeper: nested(levels - 1) }
}

const circular: Record<string, unknown> = {}
circular['self'] = circular

const bad: Record<string, [event: unknown, about: string]> = {
  nothing: [undefined, 'object'],
  'a string': ['Note.written', 'object'],
  'neither op nor type': [{ data: {} }, 'a type or an op'],
  'an unknown op': [{ op: 'x' }, 'op'],
  'an unknown store': [{ op: 'c', store: 'spreadsheet' }, 'store'],
  'an unknown field': [{ type: 'A', payload: {} }, 'payload'],
  'a field of the outbox, ns': [{ type: 'A', ns: 'another tenant' }, 'ns'],
  'a field of the outbox, lsn': [{ type: 'A', lsn: 7 }, 'lsn'],
  'a type that is a number': [{ type: 7 }, 'type'],
  'an empty type': [{ type: '' }, 'type'],
  'a type that is too long': [{ type: 'a'.repeat(eventLimits.nameLength + 1) }, 'type'],
  'a key that is a number': [{ op: 'c', key: 7 }, 'key'],
  'a key with a NUL': [{ op: 'c', key: 'a\0b' }, 'key'],
  'a key with half a surrogate pair': [{ op: 'c', key: '\uD83D' }, 'key'],
  'a table with a NUL': [{ op: 'c', table: '\0' }, 'table'],
  'after that is a string': [{ op: 'c', after: 'x' }, 'after'],
  'after that is an array': [{ op: 'c', after: [] }, 'after'],
  'after that is null': [{ op: 'c', after: null }, 'after'],
  'an unknown visibility': [{ type: 'A', visibility: 'secret' }, 'visibility'],
  'an id that is not a ULID': [{ type: 'A', id: '1' }, 'id'],
  'a timestamp that is not a time': [{ type: 'A', timestamp: 'yesterday' }, 'timestamp'],
  'a timestamp that no calendar has': [{ type: 'A', timestamp: '2026-13-45T00:00:00Z' }, 'timestamp'],
  'a timestamp without a zone': [{ type: 'A', timestamp: '2026-11-22T08:30:00' }, 'timestamp'],
  'a Date in data': [{ type: 'A', data: { at: new Date(0) } }, 'at is a Date'],
  'a Map in data': [{ type: 'A', data: { map: new Map() } }, 'map is a Map'],
  'bytes in data': [{ type: 'A', data: { bytes: new Uint8Array(2) } }, 'bytes is a Uint8Array'],
  'a function in data': [{ type: 'A', data: { run: () => 1 } }, 'run is a function'],
  'a bigint in data': [{ type: 'A', data: { big: 1n } }, 'big is a bigint'],
  'a symbol in data': [{ type: 'A', data: { symbol: Symbol('s') } }, 'symbol is a symbol'],
  'NaN in data': [{ type: 'A', data: { deep: [{ n: Number.NaN }] } }, 'deep[0].n is NaN'],
  'Infinity in data': [{ type: 'A', data: { n: Infinity } }, 'n is Infinity'],
  'undefined in an array': [{ type: 'A', data: { list: [undefined] } }, 'list[0] is undefined'],
  'half a surrogate pair in data': [{ type: 'A', data: { text: 'x\uDE00' } }, 'text holds half'],
  'a NUL in a key of data': [{ type: 'A', data: { 'a\0': 1 } }, 'NUL'],
  'data in a circle': [{ type: 'A', data: circular }, 'deeper'],
  'data that is too deep': [{ type: 'A', data: nested(eventLimits.depth) }, `${eventLimits.depth} levels`],
}

describe('tx.emit', () => {
  it.each(Object.entries(bad))('[I1] refuses %s and rolls the transaction back', async (_, [event, about]) => {
    const name = freshName()
    const failure = await emitAnything(name, event)
    expect(failure.code).toBe('event-invalid')
    expect(failure.message).toContain(about)
    expect(await inNotes(name, (notes) => notes.notes())).toEqual([])
    expect(await drain(name)).toEqual([])
  })

  it('[I1] [I7] refuses an event that is too large, says how large, and rolls the transaction back', async () => {
    const name = freshName()
    const failure = await emitAnything(name, { type: 'A', data: { body: 'é'.repeat(1_200_000) } })
    expect(failure.code).toBe('event-too-large')
    expect(failure.message).toBe('emit: event is 2.4 MB, the limit is 1 MB; put the body in R2 and emit its key')
    expect(await inNotes(name, (notes) => notes.notes())).toEqual([])
  })

  it('[I7] accepts an event of exactly the limit, and not one byte more', async () => {
    const name = freshName()
    await inNotes(name, (notes) => notes.ctx.transactionSync((tx) => tx.emit(sized(eventLimits.bytes))))
    const failure = await inNotes(name, (notes) =>
      failureOf(() => notes.ctx.transactionSync((tx) => tx.emit(sized(eventLimits.bytes + 1)))),
    )
    expect(failure.code).toBe('event-too-large')
    expect(await drain(name)).toHaveLength(1)
  })

  it('accepts an event that is just within the limits', async () => {
    const name = freshName()
    const event: EventInput = {
      type: 'ü'.repeat(eventLimits.nameLength),
      key: 'a\'b"c\\d/e=f 😀',
      timestamp: '1999-12-31T23:59:59.123456Z',
      data: { ...nested(eventLimits.depth - 1), none: undefined, nul: 'a\0b', empty: '', zero: 0, list: [null, 'x'] },
    }
    await inNotes(name, (notes) => notes.ctx.transactionSync((tx) => tx.emit(event)))
    const [record] = await drain(name)
    expect(record).toMatchObject(JSON.parse(JSON.stringify(event)) as object)
    expect(record?.data).not.toHaveProperty('none')
  })

  it('keeps the event as it was when it was emitted', async () => {
    const name = freshName()
    await inNotes(name, (notes) =>
      notes.ctx.transactionSync((tx) => {
        const data = { text: 'as emitted' }
        tx.emit({ type: 'A', data })
        data.text = 'changed since'
      }),
    )
    expect((await drain(name))[0]?.data).toEqual({ text: 'as emitted' })
  })

  it.each([
    ['c', 'cdc.insert'],
    ['u', 'cdc.update'],
    ['d', 'cdc.delete'],
    ['r', 'cdc.read'],
  ] as const)('gives op %s the type %s if it has none, and keeps a given type', async (op, type) => {
    const name = freshName()
    await inNotes(name, (notes) => notes.ctx.transactionSync((tx) => tx.emitBatch([{ op }, { op, type: 'Own' }])))
    expect((await drain(name)).map((record) => record.type)).toEqual([type, 'Own'])
  })

  it('returns the id under which the event is delivered', async () => {
    const name = freshName()
    const ids = await inNotes(name, (notes) =>
      notes.ctx.transactionSync((tx) => [tx.emit({ type: 'A' }), ...tx.emitBatch([{ type: 'B' }, { type: 'C' }])]),
    )
    expect((await drain(name)).map((record) => record.id)).toEqual(ids)
    expect(ids.toSorted()).toEqual(ids)
  })
})

describe('tx.emitBatch', () => {
  it('emits none of its events if one of them is bad', async () => {
    const name = freshName()
    await inNotes(name, (notes) =>
      notes.ctx.transaction(async (tx) => {
        await failureOf(() => tx.emitBatch([{ type: 'A' }, { type: '' }]))
        tx.emit({ type: 'B' })
      }),
    )
    expect((await drain(name)).map((record) => record.type)).toEqual(['B'])
  })
})

describe('the record on the wire', () => {
  it('has the fields of its schema and no other, and its identity at the top', async () => {
    const name = freshName()
    const change: EventInput = {
      op: 'u',
      store: 'document',
      table: 'Customer',
      key: 'cust_123',
      before: { name: 'Alice' },
      after: { name: 'Alice', email: 'alice@example.com' },
      actor: 'User/nathan',
      correlationId: 'req_1',
      visibility: 'team',
      data: { why: 'signup' },
    }
    await inNotes(name, (notes) =>
      notes.ctx.transactionSync((tx) => tx.emitBatch([change, { type: 'Customer.created' }])),
    )
    const records = await drain(name)
    for (const record of records) expect(eventRecordSchema.parse(record)).toEqual(record)

    const { correlationId, ...same } = change
    expect(records[0]).toMatchObject({ ...same, correlation_id: correlationId, type: 'cdc.update' })
    expect(records[0]).toMatchObject({ ns: name, source: 'DO/Notes', lsn: 1 })
    expect(records[0]?._meta).toEqual({ schemaVersion: 1, source: 'DO/Notes', epoch: records[0]?.epoch })
    expect(Object.keys(records[1] ?? {}).toSorted()).toEqual(
      ['_meta', 'epoch', 'id', 'lsn', 'ns', 'source', 'timestamp', 'txid', 'type'].toSorted(),
    )
  })
})
