import { zstdDecompressSync } from 'node:zlib'
import { env } from 'cloudflare:workers'
import { parquetReadObjects } from 'hyparquet'

/** The rows of a global source in all data files of the lake, by LSN, read by a library that is not ours. */
export async function rowsOf(source: string): Promise<Record<string, unknown>[]> {
  const { objects } = await env.LAKE_BUCKET.list({ prefix: 'cdc/events/data/' })
  const files = await Promise.all(
    objects.map(async ({ key }) => {
      const file = await (await env.LAKE_BUCKET.get(key))?.arrayBuffer()
      return file === undefined
        ? []
        : parquetReadObjects({ file, compressors: { ZSTD: (page) => new Uint8Array(zstdDecompressSync(page)) } })
    }),
  )
  return files
    .flat()
    .filter((row) => row['source'] === source)
    .toSorted((a, b) => Number(a['lsn']) - Number(b['lsn']))
}
