// Apache Iceberg's own REST catalog, and its library as somebody else who changes the lake's table. Left out, with the reason, if this
// machine has no Java or no Maven.

import { closeSync, openSync } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { killGroup, run, spawnGroup } from '../harness/process-group.ts'
import { findFreePort } from '../harness/runtime.ts'

const INSTALL_MS_MAX = 600_000
const START_MS_MAX = 30_000
const OTHERS_MS_MAX = 60_000
const POLL_MS = 100

const here = join(import.meta.dirname, 'apache')
const cache = join(import.meta.dirname, 'node_modules/.cache/apache')
const classpath = join(cache, 'classpath.txt')

/** Fetches what is missing. @returns why it could not, or undefined. */
export async function installApache(): Promise<string | undefined> {
  try {
    await mkdir(cache, { recursive: true })
    await run({ command: 'java', args: ['-version'], cwd: here, maxMs: START_MS_MAX, isQuiet: true })
    await run({
      command: 'mvn',
      args: ['--quiet', '--batch-mode', 'dependency:build-classpath', `-Dmdep.outputFile=${classpath}`],
      cwd: here,
      maxMs: INSTALL_MS_MAX,
      isQuiet: true,
    })
    return undefined
  } catch (error) {
    return error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)
  }
}

export interface Apache {
  readonly url: string
  /** Lets others change the table. @returns the id of the snapshot after that. */
  change(): Promise<string>
  stop(): void
}

/** Starts the catalog. @param s3 where its files are: an S3 API with a bucket `lake`. */
export async function startApache(s3: string, directory: string): Promise<Apache> {
  const java = ['-cp', (await readFile(classpath, 'utf8')).trim()]
  const port = await findFreePort()
  const url = `http://127.0.0.1:${port}`
  const log = openSync(join(directory, 'apache.log'), 'a')
  const args = [...java, 'org.apache.iceberg.rest.RESTCatalogServer']
  const child = spawnGroup(
    { command: 'java', args, cwd: here, env: { ...process.env, ...settings(s3, port, join(directory, 'apache.db')) } },
    ['ignore', log, log],
  )
  closeSync(log)
  const stop = () => child.pid !== undefined && killGroup(child.pid)
  for (let waitedMs = 0; waitedMs < START_MS_MAX; waitedMs += POLL_MS) {
    const response = await fetch(`${url}/v1/config`).catch(() => undefined)
    if (response?.ok) {
      const others = {
        command: 'java',
        args: [...java, 'Others.java', url, s3],
        cwd: here,
        maxMs: OTHERS_MS_MAX,
        isQuiet: true,
      }
      return { url, stop, change: async () => (await run(others)).trim() }
    }
    await pause(POLL_MS)
  }
  stop()
  throw new Error(`interop: Apache's catalog does not answer after ${START_MS_MAX / 1_000} s`)
}

/** Two underscores stand for a hyphen, and one for a dot. */
function settings(s3: string, port: number, database: string): Record<string, string> {
  return {
    CATALOG_REST_PORT: String(port),
    // By default each of several connections may have a database in memory of its own.
    CATALOG_URI: `jdbc:sqlite:${database}`,
    CATALOG_CLIENTS: '1',
    CATALOG_WAREHOUSE: 's3://lake/warehouse',
    CATALOG_IO__IMPL: 'org.apache.iceberg.aws.s3.S3FileIO',
    CATALOG_S3_ENDPOINT: s3,
    CATALOG_S3_PATH__STYLE__ACCESS: 'true',
    CATALOG_S3_ACCESS__KEY__ID: 'any',
    CATALOG_S3_SECRET__ACCESS__KEY: 'any',
    CATALOG_CLIENT_REGION: 'us-east-1',
    CATALOG_HTTP__CLIENT_TYPE: 'urlconnection',
  }
}
