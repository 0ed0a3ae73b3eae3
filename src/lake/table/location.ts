// Where the table lies, from what the Worker is configured with.

import { DEFAULT_LOCATION } from './table.ts'

/** What the routes of the catalog and of the table's files need of a Worker's `env`. */
export interface CatalogEnv {
  LAKE_BUCKET: R2Bucket
  /** The table's root, as the lake has it: `s3://<bucket>/<prefix>`. */
  LAKE_LOCATION?: string
  /** What a client has to know. While it is empty, all requests are refused. */
  CATALOG_TOKEN?: string
}

export interface Location {
  /** `s3://<bucket>/<prefix>` */
  readonly root: string
  readonly bucket: string
  /** What all keys of the table begin with: `cdc/events/`. */
  readonly prefix: string
}

export function locationOf({ LAKE_LOCATION: root = DEFAULT_LOCATION }: { LAKE_LOCATION?: string }): Location {
  const { host, pathname } = new URL(root)
  return { root, bucket: host, prefix: `${pathname.slice(1)}/` }
}

/**
 * The key of a file of the table, from the path of a URL in which an S3 client asks for it: `/<bucket>/<key>`. Nothing
 * where it is any other object's, or no path that a key could have.
 */
export function keyOf(pathname: string, { bucket, prefix }: Location): string | undefined {
  const path = decoded(pathname)
  const root = `/${bucket}/`
  if (path === undefined || !path.startsWith(root + prefix)) return undefined
  const key = path.slice(root.length)
  // R2 takes these literally, but what lies between might not.
  return key.split('/').some((segment) => ['', '.', '..'].includes(segment)) ? undefined : key
}

function decoded(pathname: string): string | undefined {
  try {
    return decodeURIComponent(pathname)
  } catch {
    return undefined
  }
}
