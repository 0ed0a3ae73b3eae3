// What other writers make: written by a library that is not ours, compressed, with other orders of unions, ids of 63 bits, and
// the names of fields that older versions of Iceberg's library have.

import { deflateRawSync } from 'node:zlib'
import avsc from 'avsc'
import { describe, expect, it } from 'vitest'
import { readManifest, readManifestList } from '../../../src/lake/iceberg/manifest-read.ts'
import * as command from '../../../src/lake/iceberg/read.ts'
import { createTableMetadata } from '../../../src/lake/iceberg/metadata.ts'
import { writeManifestList } from '../../../src/lake/iceberg/manifest.ts'
import { EVENTS_COLUMNS, EVENTS_PARTITION } from '../../../src/lake/table/table.ts'
import { bigLong } from './fixture.ts'

const LONG_ID = 8_744_736_658_442_914_487n
const SYNC = new Uint8Array(16)

async function write(schema: avsc.Schema, records: readonly object[]): Promise<Uint8Array> {
  const encoder = new avsc.streams.BlockEncoder(avsc.Type.forSchema(schema, { registry: { long: bigLong } }), {
    codec: 'deflate',
    codecs: {
      deflate: (block: Buffer, done: (error: Error | null, out: Buffer) => void) => done(null, deflateRawSync(block)),
    },
  })
  const chunks: Buffer[] = []
  encoder.on('data', (chunk: Buffer) => chunks.push(chunk))
  for (const record of records) encoder.write(record)
  encoder.end()
  await new Promise((resolve) => encoder.once('end', resolve))
  return new Uint8Array(Buffer.concat(chunks))
}

const LIST: avsc.Schema = {
  type: 'record',
  name: 'manifest_file',
  fields: [
    { name: 'manifest_path', type: 'string' },
    { name: 'manifest_length', type: 'long' },
    { name: 'partition_spec_id', type: 'int' },
    { name: 'content', type: 'int' },
    { name: 'sequence_number', type: 'long' },
    { name: 'min_sequence_number', type: 'long' },
    { name: 'added_snapshot_id', type: ['long', 'null'] },
    { name: 'added_data_files_count', type: 'int' },
    { name: 'existing_data_files_count', type: 'int' },
    { name: 'deleted_data_files_count', type: 'int' },
    { name: 'added_rows_count', type: 'long' },
    { name: 'existing_rows_count', type: 'long' },
    { name: 'deleted_rows_count', type: 'long' },
    {
      name: 'partitions',
      type: [
        'null',
        {
          type: 'array',
          items: {
            type: 'record',
            name: 'r508',
            fields: [
              { name: 'contains_null', type: 'boolean' },
              { name: 'contains_nan', type: ['null', 'boolean'] },
              { name: 'lower_bound', type: ['null', 'bytes'] },
              { name: 'upper_bound', type: ['null', 'bytes'] },
            ],
          },
        },
      ],
    },
  ],
}

const listed = {
  manifest_path: 's3://b/t/metadata/m.avro',
  manifest_length: 9n,
  partition_spec_id: 0,
  content: 0,
  sequence_number: 7n,
  min_sequence_number: 3n,
  added_snapshot_id: LONG_ID,
  added_data_files_count: 1,
  existing_data_files_count: 0,
  deleted_data_files_count: 2,
  added_rows_count: 5n,
  existing_rows_count: 0n,
  deleted_rows_count: 4n,
  partitions: [
    { contains_null: false, contains_nan: null, lower_bound: Buffer.from('a'), upper_bound: Buffer.from('b') },
  ],
}

const MANIFEST: avsc.Schema = {
  type: 'record',
  name: 'manifest_entry',
  fields: [
    { name: 'status', type: 'int' },
    { name: 'snapshot_id', type: ['null', 'long'] },
    { name: 'sequence_number', type: ['null', 'long'] },
    {
      name: 'data_file',
      type: {
        type: 'record',
        name: 'r2',
        fields: [
          { name: 'content', type: 'int' },
          { name: 'file_path', type: 'string' },
          { name: 'file_format', type: 'string' },
          {
            name: 'partition',
            type: {
              type: 'record',
              name: 'r102',
              fields: [
                { name: 'type', type: ['null', 'string'] },
                { name: 'dt', type: ['null', 'int'] },
              ],
            },
          },
          { name: 'record_count', type: 'long' },
          { name: 'file_size_in_bytes', type: 'long' },
          { name: 'statistics', type: { type: 'map', values: 'double' } },
        ],
      },
    },
  ],
}

describe('what another writer has made of a table', () => {
  it('is read, with ids of 63 bits', async () => {
    const [manifest] = readManifestList('list', await write(LIST, [listed]))
    expect(manifest).toMatchObject({
      added_snapshot_id: String(LONG_ID),
      added_files_count: 1,
      deleted_rows_count: 4,
      sequence_number: 7,
    })
  })

  it('is read by the command, which needs none of these ids', async () => {
    expect(command.readManifestList('list', await write(LIST, [listed]))).toEqual([
      { path: 's3://b/t/metadata/m.avro', bytes: 9 },
    ])
  })

  it('is carried over into the next list as it is', async () => {
    const manifests = readManifestList('list', await write(LIST, [listed]))
    const options = { snapshotId: 1, parentSnapshotId: String(LONG_ID), sequenceNumber: 8, sync: SYNC }
    expect(readManifestList('next', writeManifestList(manifests, options))).toEqual(manifests)
  })

  it('is read file by file', async () => {
    const [manifest] = readManifestList('list', await write(LIST, [listed]))
    const metadata = createTableMetadata({
      location: 's3://b/t',
      columns: EVENTS_COLUMNS,
      partition: EVENTS_PARTITION,
      uuid: crypto.randomUUID(),
      nowMs: 1,
    })
    const entry = (status: number, path: string) => ({
      status,
      snapshot_id: null,
      sequence_number: null,
      data_file: {
        content: 0,
        file_path: path,
        file_format: 'PARQUET',
        partition: { type: 'cdc.insert', dt: 20_000 },
        record_count: 5n,
        file_size_in_bytes: 99n,
        statistics: { size: 0.5 },
      },
    })
    const bytes = await write(MANIFEST, [entry(1, 's3://b/t/data/x.parquet'), entry(2, 's3://b/t/data/gone.parquet')])
    expect(manifest && readManifest(bytes, manifest, metadata)).toMatchObject([
      {
        key: 'data/x.parquet',
        partition: ['cdc.insert', 20_000],
        rows: 5,
        bytes: 99,
        snapshotId: String(LONG_ID),
        sequenceNumber: 7,
      },
    ])
  })
})
