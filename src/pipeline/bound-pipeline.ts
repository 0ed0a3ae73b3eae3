import { env } from 'cloudflare:workers'
import { CDCError } from '../error.ts'
import type { Pipeline } from './pipeline.ts'

/** The pipeline where none is given: the binding `EVENTS_PIPELINE`. @throws {CDCError} `invalid-config` without it. */
export function boundPipeline(): Pipeline {
  const bound: unknown = 'EVENTS_PIPELINE' in env ? env.EVENTS_PIPELINE : undefined
  if (isPipeline(bound)) return bound
  throw new CDCError(
    'invalid-config',
    'configure: there is no pipeline; bind EVENTS_PIPELINE in wrangler.toml or give the option `pipeline`',
  )
}

function isPipeline(candidate: unknown): candidate is Pipeline {
  return typeof candidate === 'object' && candidate !== null && 'send' in candidate
}
