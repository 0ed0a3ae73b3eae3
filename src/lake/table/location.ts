// Where the table lies in its bucket, and where in it each version's metadata is. A version is committed once it has that file.

/** The table's root, unless `LAKE_LOCATION` names another: `s3://<bucket>/<prefix>`. */
const DEFAULT_LOCATION = 's3://lake/cdc/events'

/** Holds the number of a version, for readers without a catalog. Only a hint: the highest metadata file is the current one. */
export const VERSION_HINT_KEY = 'metadata/version-hint.text'

interface LocationEnv {
  LAKE_LOCATION?: string | undefined
}

export interface Location {
  /** `s3://<bucket>/<prefix>` */
  readonly root: string
  readonly bucket: string
  /** What all keys of the table begin with: `cdc/events/`. */
  readonly prefix: string
}

export function locationOf({ LAKE_LOCATION: root = DEFAULT_LOCATION }: LocationEnv): Location {
  const { host, pathname } = new URL(root)
  return { root, bucket: host, prefix: `${pathname.slice(1)}/` }
}

/** A location as another catalog has it: there each character stands for itself. */
export function parseLocation(root: string): Location {
  const [, bucket = '', prefix = ''] = /^s3:\/\/([^/]*)\/?(.*)$/.exec(root) ?? []
  return { root, bucket, prefix: `${prefix}/` }
}

/** Where a version's metadata is, relative to the table's root. */
export function metadataKey(version: number): string {
  return `metadata/v${version}.metadata.json`
}

/** The version whose metadata is at a key, relative to the table's root; nothing for any other file. */
export function versionOf(key: string): number | undefined {
  const version = /^metadata\/v(\d+)\.metadata\.json$/.exec(key)?.[1]
  return version === undefined ? undefined : Number(version)
}
