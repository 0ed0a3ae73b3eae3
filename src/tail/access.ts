// Who may follow the log of an object: whoever has the Worker's ADMIN_TOKEN, a token for the object's ns, or a ticket for the
// object. A browser can't send headers with a WebSocket, and a URL ends in logs; so it gets a ticket, which its own server asks
// for, and sends that in place of a subprotocol. A ticket is signed, and valid for a minute and for one object.

import { decodeProtectedHeader, jwtVerify, SignJWT } from 'jose'
import { coversNs } from '../event/ns-pattern.ts'
import { Refusal } from '../http/error-response.ts'
import { bearerOf, isSame, secretOf } from '../http/secret.ts'
import { sendersFrom } from '../ingest/environment.ts'
import { checkSenders } from '../ingest/options.ts'
import { createFindSender, type FindSender } from '../ingest/sender.ts'

/** The subprotocol that a browser asks for, beside its ticket. */
export const SUBPROTOCOL = 'durable-outbox'
const TICKET_SECONDS = 60
const TICKET_TYPE = 'tail-ticket'
/** A ticket is given to browsers, where its signature can be tried against guesses of the key. */
const KEY_LENGTH_MIN = 32

/** The object that somebody wants to follow. */
interface Wanted {
  readonly id: string
  /** Asks the object, whose ns is its own. */
  readonly ns: () => Promise<string>
}

/** The doors of one environment. */
export class Access {
  readonly #adminToken: string
  readonly #findSender: FindSender | undefined

  private constructor(adminToken: string, findSender: FindSender | undefined) {
    this.#adminToken = adminToken
    this.#findSender = findSender
  }

  /** @throws {Refusal} 403 while nobody has a token, or if its configuration is not valid: the reason is for the log alone. */
  static of(env: object): Access {
    const adminToken = secretOf(env, 'ADMIN_TOKEN')
    const senders = sendersOf(env)
    const isOpen = senders.tokens.length > 0 || senders.jwt !== undefined
    if (adminToken === '' && !isOpen)
      throw new Refusal(403, 'tail: closed, because neither ADMIN_TOKEN nor TAIL_TOKENS nor TAIL_JWKS is set')
    return new Access(adminToken, isOpen ? createFindSender(senders, { area: 'tail', prefix: 'TAIL' }) : undefined)
  }

  /** Whether a header has the admin's token, or a ticket for an object. */
  async require(headers: Headers, wanted: Wanted): Promise<void> {
    const ticket = ticketOf(headers)
    if (ticket !== undefined) return this.#requireTicket(ticket, wanted)
    await this.requireToken(headers, wanted)
  }

  /** @throws {Refusal} 401 or 403. */
  async requireToken(headers: Headers, { ns }: Pick<Wanted, 'ns'>): Promise<void> {
    const authorization = headers.get('authorization') ?? undefined
    const given = bearerOf(authorization)
    if (given !== undefined && this.#adminToken !== '' && (await isSame(given, this.#adminToken))) return
    if (this.#findSender === undefined)
      throw new Refusal(
        401,
        given === undefined
          ? 'tail: no token; send it as authorization: Bearer <token>, or a ticket as a subprotocol'
          : 'tail: the token is not the value of ADMIN_TOKEN',
      )
    const sender = await this.#findSender(authorization)
    if (!coversNs(sender.ns, await ns()))
      throw new Refusal(403, "tail: the token does not cover the object's ns", {
        headers: { 'www-authenticate': 'Bearer error="insufficient_scope"' },
      })
  }

  /** A ticket for an object, and when it is no longer valid, in milliseconds since 1970. @throws {Refusal} 403. */
  async ticketFor(id: string): Promise<{ ticket: string; expiresMs: number }> {
    const key = this.#ticketKey()
    const expiresMs = Date.now() + TICKET_SECONDS * 1_000
    const ticket = await new SignJWT()
      .setProtectedHeader({ alg: 'HS256', typ: TICKET_TYPE })
      .setAudience(id)
      .setExpirationTime(new Date(expiresMs))
      .sign(key)
    return { ticket, expiresMs }
  }

  async #requireTicket(ticket: string, { id }: Wanted): Promise<void> {
    const options = { audience: id, algorithms: ['HS256'], typ: TICKET_TYPE, requiredClaims: ['exp'] }
    await jwtVerify(ticket, this.#ticketKey(), options).catch(() => {
      throw new Refusal(401, 'tail: the ticket is not valid for this object, or not any more')
    })
  }

  #ticketKey(): Uint8Array {
    if (this.#adminToken.length >= KEY_LENGTH_MIN) return new TextEncoder().encode(this.#adminToken)
    throw new Refusal(
      403,
      `tail: tickets are signed with ADMIN_TOKEN, which needs ${KEY_LENGTH_MIN} characters or more for that: openssl rand -hex 32`,
    )
  }
}

function sendersOf(env: object) {
  try {
    return checkSenders(sendersFrom(env, 'TAIL'), 'tail')
  } catch (error) {
    console.error('tail: closed:', error)
    throw new Refusal(403, "tail: closed, because its configuration is not valid; see the Worker's log")
  }
}

/** The ticket of a request: a subprotocol beside ours, or a bearer token that says that it is one. */
function ticketOf(headers: Headers): string | undefined {
  const [protocol, ticket] = protocolsOf(headers)
  if (protocol === SUBPROTOCOL && ticket !== undefined) return ticket
  const bearer = bearerOf(headers.get('authorization') ?? undefined)
  return bearer !== undefined && isTicket(bearer) ? bearer : undefined
}

function isTicket(token: string): boolean {
  try {
    return decodeProtectedHeader(token).typ === TICKET_TYPE
  } catch {
    return false
  }
}

/** The subprotocols that a client offers, in its order. */
export function protocolsOf(headers: Headers): string[] {
  return (headers.get('sec-websocket-protocol') ?? '')
    .split(',')
    .map((protocol) => protocol.trim())
    .filter((protocol) => protocol !== '')
}
