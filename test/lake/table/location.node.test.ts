import { describe, expect, it } from 'vitest'
import { locationOf, metadataKey, parseLocation, versionOf } from '../../../src/lake/table/location.ts'

describe('the location of a table', () => {
  it('is its default, or what LAKE_LOCATION says', () => {
    expect(locationOf({})).toEqual({ root: 's3://lake/cdc/events', bucket: 'lake', prefix: 'cdc/events/' })
    const root = 's3://other/some/where'
    expect(locationOf({ LAKE_LOCATION: root })).toEqual({ root, bucket: 'other', prefix: 'some/where/' })
  })

  it('is taken from another catalog as it is', () => {
    const root = 's3://basin/a b/%20/é'
    expect(parseLocation(root)).toEqual({ root, bucket: 'basin', prefix: 'a b/%20/é/' })
    expect(parseLocation('s3://basin')).toMatchObject({ bucket: 'basin', prefix: '/' })
    expect(parseLocation('xs3://basin/a')).toMatchObject({ bucket: '', prefix: '/' })
    expect(parseLocation('file:///a')).toMatchObject({ bucket: '', prefix: '/' })
  })
})

describe('the key of a metadata file', () => {
  it('tells its version', () => {
    expect(metadataKey(12)).toBe('metadata/v12.metadata.json')
    expect(versionOf(metadataKey(12))).toBe(12)
  })

  it.each([
    'metadata/v.metadata.json',
    'metadata/v1.metadata.json.bak',
    'xmetadata/v1.metadata.json',
    'metadata/vx.avro',
  ])('is not %s', (key) => {
    expect(versionOf(key)).toBeUndefined()
  })
})
