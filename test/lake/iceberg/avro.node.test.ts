import avsc from 'avsc'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { writeAvroFile } from '../../../src/lake/iceberg/avro.ts'
import type { AvroRecord, AvroRecordValue, AvroSchema, AvroValue } from '../../../src/lake/iceberg/avro.ts'
import { bigLong, readAvro } from './fixture.ts'

const SYNC = Uint8Array.from({ length: 16 }, (_, i) => i)

function recordOf(type: AvroSchema): AvroRecord {
  return { type: 'record', name: 'row', fields: [{ name: 'value', type, 'field-id': 1 }] }
}

function write(type: AvroSchema, value: AvroValue): Uint8Array {
  return writeAvroFile(recordOf(type), [{ value }], {}, SYNC)
}

/** Any schema that we can write, three levels deep. Records get unique names afterwards, as Avro demands. */
const schemas = fc.letrec<{ schema: AvroSchema; plain: AvroSchema }>((tie) => ({
  plain: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom<AvroSchema>('boolean', 'int', 'long', 'string', 'bytes', { type: 'int', logicalType: 'date' }),
    tie('schema').map((items): AvroSchema => ({ type: 'array', items })),
    fc.array(tie('schema'), { maxLength: 4 }).map((types): AvroSchema => ({
      type: 'record',
      name: '',
      fields: types.map((type, i) => ({ name: `f${i}`, type })),
    })),
  ),
  schema: fc.oneof(
    tie('plain'),
    tie('plain').map((plain): AvroSchema => ['null', plain]),
  ),
})).schema

function named(schema: AvroSchema, path = 'r'): AvroSchema {
  if (typeof schema === 'string') return schema
  if (Array.isArray(schema)) return ['null', named(schema[1], path)]
  if (schema.type === 'array') return { ...schema, items: named(schema.items, `${path}_i`) }
  if (schema.type !== 'record') return schema
  const fields = schema.fields.map((field) => ({ ...field, type: named(field.type, `${path}_${field.name}`) }))
  return { ...schema, name: path, fields }
}

const PRIMITIVES: Record<string, fc.Arbitrary<AvroValue>> = {
  boolean: fc.boolean(),
  int: fc.integer(),
  long: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  string: fc.string({ unit: 'binary' }),
  bytes: fc.uint8Array(),
}

function valuesOf(schema: AvroSchema): fc.Arbitrary<AvroValue> {
  if (Array.isArray(schema)) return fc.option(valuesOf(schema[1]))
  if (typeof schema === 'string') return PRIMITIVES[schema] ?? fc.constant(null)
  if (schema.type === 'array') return fc.array(valuesOf(schema.items), { maxLength: 5 })
  if (schema.type === 'record') {
    return fc.record(Object.fromEntries(schema.fields.map((field) => [field.name, valuesOf(field.type)])))
  }
  return PRIMITIVES[schema.type] ?? fc.constant(null)
}

const files = schemas.chain((type) => {
  const schema = recordOf(named(type))
  return fc.record({ schema: fc.constant(schema), values: fc.array(valuesOf(schema), { maxLength: 5 }) })
})

function isRecordValue(value: AvroValue): value is AvroRecordValue {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)
}

/** Buffers of avsc and Uint8Arrays of ours compare by content. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return { bytes: [...value] }
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]))
}

describe('writeAvroFile', () => {
  it('writes files from which avsc decodes the same values', async () => {
    await fc.assert(
      fc.asyncProperty(files, async ({ schema, values }) => {
        const file = await readAvro(writeAvroFile(schema, values.filter(isRecordValue), {}, SYNC), 'bigint')
        expect(file.records.map(plain)).toEqual(values.map(plain))
      }),
      { numRuns: 300 },
    )
  })

  it('encodes a record byte for byte as avsc does', () => {
    const schema = recordOf({ type: 'array', items: ['null', 'long'] })
    const value = { value: [0n, -1n, 63n, -64n, 64n, null, 2n ** 63n - 1n, -(2n ** 63n)] }
    const expected = avsc.Type.forSchema(JSON.parse(JSON.stringify(schema)), { registry: { long: bigLong } })
    const file = Buffer.from(writeAvroFile(schema, [value], {}, SYNC))
    expect(file.includes(expected.toBuffer(value))).toBe(true)
  })

  it('carries schema, codec and metadata in the header', async () => {
    const schema = recordOf('string')
    const { metadata } = await readAvro(writeAvroFile(schema, [], { 'format-version': '2', content: 'dàta' }, SYNC))
    expect(metadata).toEqual({
      'avro.schema': JSON.stringify(schema),
      'avro.codec': 'null',
      'format-version': '2',
      content: 'dàta',
    })
  })

  it('writes no block if there are no records', async () => {
    const bytes = writeAvroFile(recordOf('string'), [], {}, SYNC)
    expect(bytes.slice(-16)).toEqual(SYNC)
    expect((await readAvro(bytes)).records).toEqual([])
  })

  it.each<[string, AvroSchema, AvroValue]>([
    ['a string for a long', 'long', '1'],
    ['a fraction for an int', 'int', 1.5],
    ['an int of 33 bits', 'int', 2 ** 31],
    ['a long of 65 bits', 'long', 2n ** 63n],
    ['a number that is not exact', 'long', 2 ** 53],
    ['null for a string', 'string', null],
    ['a record for an array', { type: 'array', items: 'int' }, {}],
    ['an array for a record', recordOf('int'), []],
  ])('refuses %s and names the field', (_, type, value) => {
    expect(() => write(type, value)).toThrow(/writeAvroFile: row\.value takes /)
  })

  it('names a missing field by its whole path', () => {
    const inner: AvroRecord = { type: 'record', name: 'inner', fields: [{ name: 'count', type: 'int' }] }
    expect(() => write(inner, {})).toThrow('row.value.count takes int, not undefined')
  })

  it('refuses a sync marker that does not have 16 bytes', () => {
    expect(() => writeAvroFile(recordOf('int'), [], {}, new Uint8Array(8))).toThrow(/sync marker has 8 bytes/)
  })
})
