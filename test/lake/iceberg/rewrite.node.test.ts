import { describe, expect, it } from 'vitest'
import {
  type CommitOptions,
  type ListedFile,
  listFile,
  prepareAppend,
  prepareRebuild,
  prepareRemoval,
  prepareRewrite,
  type PreparedCommit,
  type Rewrite,
  type Table,
  withCountedTotals,
  writeRows,
} from '../../../src/lake/iceberg/commit.ts'
import type { ManifestFile } from '../../../src/lake/iceberg/manifest.ts'
import { currentSnapshot, type TableMetadata, withUnpartitionedSpec } from '../../../src/lake/iceberg/metadata.ts'
import type { PartitionValue } from '../../../src/lake/iceberg/partition.ts'
import type { Row } from '../../../src/lake/iceberg/schema.ts'
import { countingUuid, emptyTable, event, LOCATION, NOW_MS, readAvro } from './fixture.ts'

const INVALID = expect.objectContaining({ code: 'invalid-argument' })
const uuid = countingUuid()

function options(snapshotId: number, more: Partial<CommitOptions> = {}): CommitOptions {
  return { summary: { by: 'test' }, nowMs: NOW_MS, uuid, snapshotId, ...more }
}

/** The table after a commit. */
function after(table: Table, prepared: PreparedCommit, replaced: readonly ManifestFile[] = []): Table {
  const gone = new Set(replaced.map((file) => file.manifest_path))
  const stay = table.manifests.filter((file) => !gone.has(file.manifest_path))
  return { metadata: prepared.metadata, manifests: [manifestOf(prepared), ...stay] }
}

/** The manifest of a commit of one partition spec. */
function manifestOf({ manifests: [own, ...others] }: PreparedCommit): ManifestFile {
  if (own === undefined || others.length > 0) throw new Error(`the commit has ${1 + others.length} manifests`)
  return own.manifest
}

function addedBy({ manifests }: PreparedCommit): readonly ListedFile[] {
  return manifests.flatMap(({ added }) => added)
}

/** Rows as files that a commit lists. */
function listedRows(metadata: TableMetadata, rows: readonly Row[], of: CommitOptions): ListedFile[] {
  return writeRows(metadata, rows, of).written.map((file) => listFile(file, metadata, of))
}

/** Three commits, of one file each: with one, two and three rows. */
function threeFiles() {
  const rows: Row[][] = [[event(1)], [event(2), event(3)], [event(4), event(5), event(6)]]
  const files: ListedFile[] = []
  let table = emptyTable()
  for (const [index, some] of rows.entries()) {
    const prepared = prepareAppend(table, some, options(11 + index))
    files.push(...addedBy(prepared))
    table = after(table, prepared)
  }
  const [third, second, first] = table.manifests as [ManifestFile, ManifestFile, ManifestFile]
  return {
    table,
    rows: rows as [Row[], Row[], Row[]],
    files: files as [ListedFile, ListedFile, ListedFile],
    first,
    second,
    third,
  }
}

interface Entry {
  status: number
  snapshot_id: number
  sequence_number: number | null
  data_file: { file_path: string; record_count: number; partition: object }
}

/** The files of a commit, as another library reads them. */
async function read({ files, metadata }: Pick<PreparedCommit, 'files' | 'metadata'>) {
  const bytesOf = (path: string) => files.find(({ key }) => `${LOCATION}/${key}` === path)?.bytes ?? new Uint8Array()
  const { records, metadata: header } = await readAvro<ManifestFile>(
    bytesOf(currentSnapshot(metadata)?.['manifest-list'] ?? ''),
  )
  const own = records.filter(({ manifest_path }) => bytesOf(manifest_path).length > 0)
  const manifests = await Promise.all(own.map(({ manifest_path }) => readAvro<Entry>(bytesOf(manifest_path))))
  return {
    listed: records.map(({ manifest_path }) => manifest_path),
    header,
    manifests: manifests.map(({ records }) => records),
  }
}

describe('a rewrite', () => {
  it('[I5] replaces files by others of the same rows, and lists those that stay', async () => {
    const { table, rows, files, first, second, third } = threeFiles()
    const [removed, kept] = files
    const rewrite: Rewrite = { manifests: [first, second], removed: [removed], kept: [kept], rows: rows[0] }
    const prepared = prepareRewrite(table, rewrite, options(21))
    const { listed, manifests } = await read(prepared)
    expect(listed).toEqual([manifestOf(prepared).manifest_path, third.manifest_path])
    const [added] = addedBy(prepared)
    expect(
      manifests[0]?.map(({ status, snapshot_id, sequence_number, data_file }) => [
        status,
        snapshot_id,
        sequence_number,
        data_file.file_path,
      ]),
    ).toEqual([
      [1, 21, null, `${LOCATION}/${added?.key}`],
      [0, 12, 2, `${LOCATION}/${kept.key}`],
      [2, 21, 1, `${LOCATION}/${removed.key}`],
    ])
    expect(manifestOf(prepared)).toMatchObject({
      added_files_count: 1,
      existing_files_count: 1,
      deleted_files_count: 1,
      sequence_number: 4,
      min_sequence_number: 2,
    })
    expect(currentSnapshot(prepared.metadata)).toMatchObject({
      'parent-snapshot-id': 13,
      summary: {
        by: 'test',
        operation: 'replace',
        'added-data-files': '1',
        'added-records': '1',
        'added-files-size': String(added?.bytes),
        'deleted-data-files': '1',
        'deleted-records': '1',
        'removed-files-size': String(removed.bytes),
        'changed-partition-count': '1',
        'total-data-files': '3',
        'total-records': '6',
      },
    })
    expect(added).toMatchObject({ rows: 1, snapshotId: 21, sequenceNumber: 4, partition: ['Customer.created', 20_779] })
    // The manifests that it is left with are those of the table after it.
    expect(() => prepareAppend(after(table, prepared, [first, second]), [event(9)], options(22))).not.toThrow()
  })

  it('merges manifests, and stores no data file', async () => {
    const { table, files, first, second, third } = threeFiles()
    const rewrite: Rewrite = { manifests: [first, second, third], removed: [], kept: files, rows: [] }
    const prepared = prepareRewrite(table, rewrite, options(21))
    expect(addedBy(prepared)).toEqual([])
    expect((await read(prepared)).listed).toEqual([manifestOf(prepared).manifest_path])
    expect(currentSnapshot(prepared.metadata)?.summary).toMatchObject({
      operation: 'replace',
      'changed-partition-count': '0',
      'total-records': '6',
    })
  })

  it('[I5] is refused if it would lose a row, or make one up', () => {
    const { table, rows, files, first, second } = threeFiles()
    const prepare = (of: readonly Row[]) => () =>
      prepareRewrite(
        table,
        { manifests: [first, second], removed: [files[0], files[1]], kept: [], rows: of },
        options(21),
      )
    expect(prepare([...rows[0], ...rows[1]])).not.toThrow()
    expect(prepare(rows[1])).toThrow(INVALID)
    expect(prepare(rows[1])).toThrow('prepareRewrite: the removed files have 3 rows, and 2 would replace them')
    expect(prepare([...rows[1], ...rows[1]])).toThrow('and 4 would replace them')
  })

  it('has the partition spec of what it replaces', () => {
    const { table } = threeFiles()
    const unpartitioned = prepareAppend(table, [event(7)], options(21, { mayPartition: () => false }))
    const mixed = after(table, unpartitioned)
    const rewrite = { removed: addedBy(unpartitioned), kept: [], rows: [event(7)] }
    const prepared = prepareRewrite(mixed, { ...rewrite, manifests: [manifestOf(unpartitioned)] }, options(22))
    expect(manifestOf(prepared).partition_spec_id).toBe(1)
    expect(addedBy(prepared)).toMatchObject([{ partition: [] }])
    const both = () => prepareRewrite(mixed, { ...rewrite, manifests: mixed.manifests }, options(22))
    expect(both).toThrow(INVALID)
    expect(both).toThrow('the manifests are of several partition specs')
  })
})

describe('a removal', () => {
  it('takes files and their rows out of the table', async () => {
    const { table, files, first } = threeFiles()
    const prepared = prepareRemoval(table, { manifests: [first], removed: [files[0]], kept: [] }, options(21))
    expect((await read(prepared)).manifests[0]).toMatchObject([{ status: 2, snapshot_id: 21 }])
    expect(currentSnapshot(prepared.metadata)?.summary).toMatchObject({
      operation: 'delete',
      'total-records': '5',
      'changed-partition-count': '1',
    })
  })
})

describe('an append', () => {
  it('has one file without a partition if it may not have one for each', () => {
    const asked: (readonly (readonly PartitionValue[])[])[] = []
    const mayPartition = (partitions: readonly (readonly PartitionValue[])[]) => {
      asked.push(partitions)
      return false
    }
    const rows = [event(1), event(2, { type: 'cdc.insert' }), event(3)]
    const prepared = prepareAppend(emptyTable(), rows, options(11, { mayPartition }))
    expect(asked).toEqual([
      [
        ['Customer.created', 20_779],
        ['cdc.insert', 20_779],
      ],
    ])
    expect(addedBy(prepared)).toMatchObject([{ partition: [], rows: 3 }])
    expect(prepared.metadata['partition-specs']).toHaveLength(2)
    const divided = prepareAppend(emptyTable(), rows, options(11, { mayPartition: () => true }))
    expect(addedBy(divided)).toHaveLength(2)
    expect(currentSnapshot(divided.metadata)?.summary['changed-partition-count']).toBe('2')
  })

  it('has one file without a partition if the table has no spec that can be written', () => {
    const { metadata } = emptyTable()
    const [spec] = metadata['partition-specs']
    const fields = spec?.fields.map((field) => ({ ...field, transform: 'bucket[4]' })) as never
    const foreign: TableMetadata = { ...metadata, 'partition-specs': [{ 'spec-id': 0, fields }] }
    const prepared = prepareAppend({ metadata: foreign, manifests: [] }, [event(1)], options(11))
    expect(addedBy(prepared)).toMatchObject([{ partition: [] }])
    expect(manifestOf(prepared).partition_spec_id).toBe(1)
  })

  it.each([
    '',
    '00000000-0000-4000-8000-00000000000',
    'x00000000-0000-4000-8000-000000000000',
    '00000000-0000-4000-8000-000000000000x',
    '00000000-0000-4000-800-0000000000000',
  ])('is refused without a UUID: %s', (text) => {
    const prepare = () => prepareAppend(emptyTable(), [event(1)], options(11, { uuid: () => text }))
    expect(prepare).toThrow(INVALID)
  })

  it('marks its Avro files with the bytes of a UUID', () => {
    const id = '00112233-4455-6677-8899-AABBCCDDEEFF'
    const { files } = prepareAppend(emptyTable(), [event(1)], options(11, { uuid: () => id }))
    const avro = files.filter(({ key }) => key.endsWith('.avro'))
    expect(avro).toHaveLength(2)
    for (const { bytes } of avro)
      expect(Buffer.from(bytes.subarray(-16)).toString('hex')).toBe(id.replaceAll('-', '').toLowerCase())
  })
})

describe('a rebuild', () => {
  function rebuilt(count: number, own: number) {
    const { metadata } = withUnpartitionedSpec(emptyTable().metadata)
    const [file] = listedRows(metadata, [event(1)], options(7)) as [ListedFile]
    const files = Array.from({ length: count }, (_, index) => ({
      ...file,
      key: `data/${index}.parquet`,
      snapshotId: index < own ? 31 : 7,
      sequenceNumber: 3,
    }))
    return { metadata, files }
  }

  it('[I5] is a table of the given files, and of nothing else', async () => {
    const { metadata, files } = rebuilt(3, 1)
    const [whole] = listedRows(metadata, [event(9)], options(7, { mayPartition: () => false }))
    const all = [...files, ...(whole ? [{ ...whole, sequenceNumber: 2 }] : [])]
    const before = { ...metadata, 'last-sequence-number': 8, 'last-updated-ms': NOW_MS + 5 }
    const prepared = prepareRebuild({ metadata: before, metadataKey: 'metadata/v8.metadata.json' }, all, options(31))
    const { listed, header, manifests } = await read(prepared)
    expect(listed).toEqual(prepared.manifests.map(({ manifest }) => manifest.manifest_path))
    expect(header).toMatchObject({ 'snapshot-id': '31', 'parent-snapshot-id': 'null', 'sequence-number': '9' })
    expect(
      manifests.map((entries) =>
        entries.map(({ status, snapshot_id, sequence_number }) => [status, snapshot_id, sequence_number]),
      ),
    ).toEqual([
      [
        [1, 31, null],
        [0, 7, 3],
        [0, 7, 3],
      ],
      [[0, 7, 2]],
    ])
    expect(prepared.manifests.map(({ manifest, files }) => [manifest.partition_spec_id, files.length])).toEqual([
      [0, 3],
      [1, 1],
    ])
    expect(prepared.files.map(({ key }) => key)).toEqual([
      ...prepared.manifests.map(({ key }) => key),
      currentSnapshot(prepared.metadata)?.['manifest-list'].slice(LOCATION.length + 1),
    ])
    expect(currentSnapshot(prepared.metadata)).toEqual({
      'snapshot-id': 31,
      'sequence-number': 9,
      'timestamp-ms': NOW_MS + 5,
      'manifest-list': expect.stringMatching(/snap-31-1-[\da-f-]{36}\.avro$/),
      'schema-id': 0,
      summary: expect.objectContaining({
        by: 'test',
        operation: 'overwrite',
        'added-data-files': '4',
        'total-data-files': '4',
        'total-records': '4',
        'changed-partition-count': '0',
      }),
    })
    expect(prepared.metadata['metadata-log'].at(-1)?.['metadata-file']).toBe(`${LOCATION}/metadata/v8.metadata.json`)
    const manifestFiles = prepared.manifests.map(({ manifest }) => manifest)
    expect(() =>
      prepareAppend({ metadata: prepared.metadata, manifests: manifestFiles }, [event(1)], options(32)),
    ).not.toThrow()
  })

  it('[I7] has manifests of 5,000 files at most', () => {
    const sizes = (count: number) => {
      const { metadata, files } = rebuilt(count, 0)
      return prepareRebuild({ metadata }, files, options(31)).manifests.map(({ files }) => files.length)
    }
    expect(sizes(5_001)).toEqual([5_000, 1])
    expect(sizes(0)).toEqual([])
  })

  it('is refused if the table has no partition spec for a file', () => {
    const { metadata, files } = rebuilt(1, 0)
    const odd = files.map((file) => ({ ...file, partition: ['a', 1, 'b'] }))
    expect(() => prepareRebuild({ metadata }, odd, options(31))).toThrow(
      expect.objectContaining({ code: 'invalid-config', message: 'lake: the table has no partition spec of 3 fields' }),
    )
  })

  it('writes rows as files that it can list', () => {
    const { metadata } = emptyTable()
    const rows = [event(1), event(2, { type: 'cdc.insert' })]
    const { files, written } = writeRows(metadata, rows, options(31))
    expect(written.map(({ key, bytes }) => ({ key, bytes }))).toEqual(
      files.map(({ key, bytes }) => ({ key, bytes: bytes.length })),
    )
    expect(listedRows(metadata, rows, options(31))).toMatchObject([{ snapshotId: 31, sequenceNumber: 1, rows: 1 }, {}])
    expect(writeRows(metadata, [event(1), event(2)], options(31, { mayPartition: () => false })).written).toMatchObject(
      [{ partition: [], rows: 2 }],
    )
  })
})

describe('the totals of a table', () => {
  it('are counted, without delete files, if another writer has not kept them', () => {
    const { table } = threeFiles()
    const [one] = table.manifests
    const manifests = [...table.manifests, ...(one ? [{ ...one, content: 1 as const }] : [])]
    const counted = withCountedTotals(withoutTotals(table.metadata), manifests)
    expect(currentSnapshot(counted)?.summary).toEqual({
      operation: 'append',
      'total-data-files': '3',
      'total-records': '6',
    })
    expect(counted.snapshots.slice(0, -1)).toEqual(table.metadata.snapshots.slice(0, -1))
    expect(() => prepareAppend({ metadata: counted, manifests }, [event(9)], options(21))).not.toThrow()
  })

  it('count the files of merged manifests too', () => {
    const { table, files, first, second, third } = threeFiles()
    const all = [first, second, third]
    const merged = prepareRewrite(table, { manifests: all, removed: [], kept: files, rows: [] }, options(21))
    expect(currentSnapshot(withCountedTotals(merged.metadata, [manifestOf(merged)]))?.summary).toMatchObject({
      'total-data-files': '3',
      'total-records': '6',
    })
  })

  it('are none for a table without a snapshot', () => {
    const { metadata } = emptyTable()
    expect(withCountedTotals(metadata, [])).toBe(metadata)
  })
})

function withoutTotals(metadata: TableMetadata): TableMetadata {
  const snapshots = metadata.snapshots.map((snapshot, index, { length }) =>
    index === length - 1 ? { ...snapshot, summary: { operation: 'append' as const } } : snapshot,
  )
  return { ...metadata, snapshots }
}
