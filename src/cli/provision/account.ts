// The account, read and changed through wrangler.

import * as z from 'zod'
import { CDCError } from '../../error.ts'
import type { Found, FoundPipeline, FoundSink, FoundStream, Resource, Wanted } from './plan.ts'
import { schemaShape } from './schema.ts'
import { type Wrangler, type WranglerCommand, WranglerError } from './wrangler.ts'

/** The commands that read each resource. */
export function readCommands({ names }: Wanted): Readonly<Record<Resource, WranglerCommand>> {
  const json = { json: 'true' }
  return {
    bucket: { words: 'r2 bucket info', operand: names.bucket, options: json },
    // The only one without JSON.
    catalog: { words: 'basin catalog get', operand: names.bucket },
    stream: { words: 'basin pipelines streams get', operand: names.stream, options: json },
    sink: { words: 'basin pipelines sinks get', operand: names.sink, options: json },
    pipeline: { words: 'basin pipelines get', operand: names.pipeline, options: json },
  }
}

/** The commands that create each resource. */
export function createCommands(
  { names, sql, rollIntervalSeconds }: Wanted,
  { schemaFile, catalogToken }: { schemaFile: string; catalogToken: string | undefined },
): Readonly<Record<Resource, WranglerCommand>> {
  return {
    bucket: { words: 'r2 bucket create', operand: names.bucket, options: { 'update-config': 'false' } },
    catalog: { words: 'basin catalog enable', operand: names.bucket },
    stream: {
      words: 'basin pipelines streams create',
      operand: names.stream,
      options: { 'schema-file': schemaFile, 'http-enabled': 'true', 'http-auth': 'true' },
    },
    sink: {
      words: 'basin pipelines sinks create',
      operand: names.sink,
      options: {
        // The docs call it basin-catalog, but wrangler does not know that name yet.
        type: 'r2-data-catalog',
        bucket: names.bucket,
        namespace: names.namespace,
        table: names.table,
        // wrangler takes it on its command line only, so for that second the machine's list of processes shows it.
        ...(catalogToken !== undefined && { 'catalog-token': catalogToken }),
        ...(rollIntervalSeconds !== undefined && { 'roll-interval': String(rollIntervalSeconds) }),
      },
    },
    pipeline: { words: 'basin pipelines create', operand: names.pipeline, options: { sql } },
  }
}

/** What the account has; the configuration has the rest. */
export type FoundInAccount = Omit<Found, 'boundStream' | 'boundService'>

/** Looks for everything that is wanted. The bucket comes first, so that a missing login is reported once. */
export async function readAccount(wanted: Wanted, wrangler: Wrangler): Promise<FoundInAccount> {
  const commands = readCommands(wanted)
  const bucket = await readIfThere(commands.bucket, z.object({ name: z.string() }), wrangler)
  const hasBucket = bucket !== undefined
  const [hasCatalog, stream, sink, pipeline] = await Promise.all([
    hasBucket && readCatalog(commands.catalog, wrangler),
    readStream(wanted, wrangler),
    readIfThere(commands.sink, sinkShape, wrangler),
    readIfThere(commands.pipeline, pipelineShape, wrangler),
  ])
  return { hasBucket, hasCatalog, stream, sink, pipeline }
}

export async function readStream(wanted: Wanted, wrangler: Wrangler): Promise<FoundStream | undefined> {
  return readIfThere(readCommands(wanted).stream, streamShape, wrangler)
}

/** wrangler exits with 0 for a bucket without a catalog too. A catalog that was disabled is inactive. */
async function readCatalog(command: WranglerCommand, wrangler: Wrangler): Promise<boolean> {
  return /^Status:\s+active\s*$/m.test(await wrangler.run(command))
}

export async function readIfThere<T extends z.ZodType>(
  command: WranglerCommand,
  shape: T,
  wrangler: Wrangler,
): Promise<z.infer<T> | undefined> {
  try {
    return parseAnswer(shape, parseJSON(await wrangler.run(command)))
  } catch (error) {
    if (error instanceof WranglerError && isMissing(error.said)) return undefined
    throw error
  }
}

/**
 * 10006 is R2's code for a bucket that does not exist; for the rest wrangler has words. It looks for a missing pipeline
 * among those of the product's predecessor too, whose names had no underscores, and reports that name as not valid.
 */
function isMissing(said: string): boolean {
  return [
    /\[code: 10006\]/,
    /^(?:Stream|Sink|Pipeline) "\w+" not found\.$/,
    /^Worker "[^"]+" (?:\(env: \S+\) )?not found\./,
    /^Must provide a valid pipeline name$/,
  ].some((pattern) => pattern.test(said))
}

const streamShape = z
  .object({
    id: z.string(),
    schema: schemaShape.nullish(),
    worker_binding: z.object({ enabled: z.boolean() }),
  })
  .transform(({ id, schema, worker_binding }): FoundStream => {
    // For an unstructured stream the account may return a schema without columns.
    const isStructured = schema !== null && schema !== undefined && schema.fields.length > 0
    return { id, schema: isStructured ? schema : undefined, takesBindings: worker_binding.enabled }
  })

const sinkShape = z
  .object({
    type: z.string(),
    config: z.object({
      bucket: z.string().optional(),
      namespace: z.string().optional(),
      table_name: z.string().optional(),
      rolling_policy: z.object({ interval_seconds: z.number().optional() }).nullish(),
    }),
  })
  .transform(({ type, config }): FoundSink => {
    const { bucket, namespace, table_name: table, rolling_policy: rolling } = config
    return { type, bucket, namespace, table, rollIntervalSeconds: rolling?.interval_seconds }
  })

const pipelineShape = z
  .object({ sql: z.string(), status: z.string().optional(), failure_reason: z.string().nullish() })
  .transform(({ sql, status, failure_reason: reason }): FoundPipeline => {
    return { sql, failure: status === 'failed' ? (reason ?? 'Basin gives no reason') : undefined }
  })

/** @throws {CDCError} `invalid-config` if the answer has another shape. */
export function parseAnswer<T extends z.ZodType>(shape: T, answer: unknown): z.infer<T> {
  const { data, error } = shape.safeParse(answer)
  if (error === undefined) return data
  throw new CDCError('invalid-config', 'wrangler answered in an unknown form; update wrangler and durable-outbox', {
    cause: error,
  })
}

function parseJSON(answer: string): unknown {
  try {
    return JSON.parse(answer)
  } catch {
    return undefined
  }
}
