// The lake of a running Worker, as far as the command has something to ask of it.

import { messageOf } from '../../error.ts'
import * as z from 'zod'
import type { RepairOutcome, Suspect } from '../../lake/upkeep/repair.ts'
import { checkAddress, checkToken } from '../address.ts'
import { readAnswer, RefusedError } from '../admin-client.ts'

/** Where a Worker with a lake mounts `lakeRoutes`. */
const REPAIR = '/lake/repair'
/** The lake reads its whole table for it. */
const TIMEOUT_MS = 600_000

const suspectSchema = z.object({
  ns: z.string(),
  source: z.string(),
  epoch: z.string(),
  ranges: z.array(z.object({ first: z.int(), last: z.int() })),
})
const outcomeSchema = z.object({ goneFiles: z.int(), forgotten: z.array(suspectSchema) })
const refusalSchema = z.object({ error: z.string(), code: z.string() })

export class LakeClient {
  readonly #url: string
  readonly #token: string | undefined

  /** @throws {CDCError} `invalid-argument` for a URL or a token that nothing should be sent to or with. */
  constructor(url: string, token: string | undefined) {
    this.#url = checkAddress({ command: 'reconcile', flag: '--url', of: 'a Worker' }, url, token !== undefined)
    this.#token = token === undefined ? undefined : checkToken('reconcile', token)
  }

  /**
   * Has the lake look for what was lost.
   *
   * @returns nothing where the Worker has no lake: then nothing remembers what has landed, and nothing is to be forgotten.
   * @throws {RefusedError} with the server's message; or an `Error` where there is no server.
   */
  async repair(suspects: readonly Suspect[]): Promise<RepairOutcome | undefined> {
    const response = await this.#post(JSON.stringify(suspects))
    const body: unknown = await response.json().catch(() => undefined)
    if (response.ok) return readAnswer(outcomeSchema, body)
    const refusal = refusalSchema.safeParse(body)
    if (refusal.success) throw new RefusedError(refusal.data.code, refusal.data.error)
    if (response.status === 404) return undefined
    throw new Error(`reconcile: ${this.#url}${REPAIR} answered ${response.status}, and not as a lake does`)
  }

  async #post(body: string): Promise<Response> {
    try {
      return await fetch(`${this.#url}${REPAIR}`, {
        method: 'POST',
        headers: {
          ...(this.#token !== undefined && { authorization: `Bearer ${this.#token}` }),
          'content-type': 'application/json',
        },
        body,
        // The token is for this address and no other.
        redirect: 'manual',
        signal: AbortSignal.timeout(TIMEOUT_MS),
      })
    } catch (error) {
      const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
      throw new Error(`reconcile: ${this.#url} cannot be reached: ${messageOf(cause)}`, { cause: error })
    }
  }
}
