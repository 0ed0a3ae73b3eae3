import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type AvroRecord, writeAvroFile } from '../../../src/lake/iceberg/avro.ts'
import { readAvroFile } from '../../../src/lake/iceberg/avro-read.ts'

const schema: AvroRecord = {
  type: 'record',
  name: 'r',
  fields: [
    { name: 'flag', type: 'boolean' },
    { name: 'day', type: { type: 'int', logicalType: 'date' } },
    { name: 'long', type: 'long' },
    { name: 'text', type: ['null', 'string'] },
    { name: 'bytes', type: ['null', 'bytes'] },
    {
      name: 'list',
      type: { type: 'array', items: { type: 'record', name: 'i', fields: [{ name: 'n', type: 'int' }] } },
    },
  ],
}

const record = fc.record({
  flag: fc.boolean(),
  day: fc.integer(),
  long: fc.maxSafeInteger(),
  text: fc.option(fc.string({ unit: 'grapheme' })),
  bytes: fc.option(fc.uint8Array()),
  list: fc.array(fc.record({ n: fc.integer() })),
})

function fileOf(records: Parameters<typeof writeAvroFile>[1]): Uint8Array {
  return writeAvroFile(
    schema,
    records,
    { more: 'about it' },
    Uint8Array.from({ length: 16 }, (_, index) => index),
  )
}

describe('an Avro file', () => {
  it('is read back as it was written', () => {
    fc.assert(
      fc.property(fc.array(record), (records) => {
        expect(readAvroFile('m.avro', fileOf(records))).toEqual(records)
      }),
    )
  })

  it('is refused by its name, wherever it is cut', () => {
    const file = fileOf([{ flag: true, day: 1, long: 2, text: 'x', bytes: null, list: [{ n: 3 }] }])
    // Without its only block, a file is whole and empty.
    const lengths = Array.from({ length: file.length }, (_, length) => length).filter((n) => n !== fileOf([]).length)
    for (const length of lengths)
      expect(() => readAvroFile('m.avro', file.subarray(0, length))).toThrow('m.avro is not an Avro file')
  })
})
