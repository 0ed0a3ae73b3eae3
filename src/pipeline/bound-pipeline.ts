import { env } from 'cloudflare:workers'
import { CDCError } from '../error.ts'
import type { Pipeline } from './pipeline.ts'

/** The default pipeline: the binding `EVENTS_PIPELINE`. @throws {CDCError} `invalid-config` if it is missing. */
export function boundPipeline(): Pipeline {
  const bound: unknown = 'EVENTS_PIPELINE' in env ? env.EVENTS_PIPELINE : undefined
  if (isPipeline(bound)) return bound
  throw new CDCError(
    'invalid-config',
    'configure: there is no pipeline; bind EVENTS_PIPELINE in the wrangler configuration, or set the option `pipeline`',
  )
}

function isPipeline(candidate: unknown): candidate is Pipeline {
  return typeof candidate === 'object' && candidate !== null && 'send' in candidate
}
