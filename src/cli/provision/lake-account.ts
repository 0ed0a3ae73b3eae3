// The part of the account that a lake needs, read and changed through wrangler.

import * as z from 'zod'
import { parseAnswer, readIfThere } from './account.ts'
import { CATALOG_TOKEN_NAME, type FoundLake, type LakeResource, type WantedLake } from './lake-plan.ts'
import type { Wrangler, WranglerCommand } from './wrangler.ts'

/** The commands that read each resource. */
export function readLakeCommands({
  bucket,
  jurisdiction,
}: WantedLake): Readonly<Record<LakeResource, WranglerCommand>> {
  return {
    bucket: { words: 'r2 bucket info', operand: bucket, options: { json: 'true', ...given({ jurisdiction }) } },
    catalog: { words: 'basin catalog get', operand: bucket },
    secret: { words: 'secret list', options: { format: 'json' } },
  }
}

/** The commands that create each resource. A secret's value is never on a command line. */
export function createLakeCommands(
  { bucket, jurisdiction }: WantedLake,
  catalogToken: string | undefined,
): Readonly<Record<LakeResource, WranglerCommand>> {
  return {
    bucket: {
      words: 'r2 bucket create',
      operand: bucket,
      options: { 'update-config': 'false', ...given({ jurisdiction }) },
    },
    catalog: { words: 'basin catalog enable', operand: bucket },
    // If there is no such Worker yet, wrangler creates one that does nothing, for `wrangler deploy` to replace.
    secret: { words: 'secret put', operand: CATALOG_TOKEN_NAME, input: catalogToken },
  }
}

/** Looks for everything that is wanted. The bucket comes first, so that a missing login is reported once. */
export async function readLake(wanted: WantedLake, wrangler: Wrangler): Promise<FoundLake> {
  const commands = readLakeCommands(wanted)
  const bucket = await readIfThere(commands.bucket, z.object({ name: z.string() }), wrangler)
  const hasBucket = bucket !== undefined
  const [catalog, secrets] = await Promise.all([
    hasBucket && wanted.jurisdiction === undefined ? readCatalog(commands.catalog, wrangler) : undefined,
    readIfThere(commands.secret, z.array(z.object({ name: z.string() })), wrangler),
  ])
  return { hasBucket, catalog, secrets: (secrets ?? []).map(({ name }) => name) }
}

/** A bucket without a catalog has no status, and a catalog that was disabled is inactive. */
async function readCatalog(command: WranglerCommand, wrangler: Wrangler): Promise<FoundLake['catalog']> {
  const answer = await wrangler.run(command)
  const labelled = (label: string) => new RegExp(`^${label}:\\s+(\\S+)\\s*$`, 'm').exec(answer)?.[1]
  if (labelled('Status') !== 'active') return undefined
  return parseAnswer(z.object({ uri: z.url(), warehouse: z.string() }), {
    uri: labelled('Catalog URI'),
    warehouse: labelled('Warehouse'),
  })
}

function given({ jurisdiction }: { jurisdiction?: string | undefined }): Record<string, string> {
  return jurisdiction === undefined ? {} : { jurisdiction }
}
