// The address of a server as a command line gives it, and the token that goes there.

import { CDCError } from '../error.ts'
import { isLocalHTTP } from '../http/loopback.ts'

/** Where an address comes from and whose it is, for what is said against it. */
interface AddressOption {
  readonly command: string
  readonly flag: string
  readonly of: string
}

/**
 * Checks that a text is a server's address, and one that a token may be sent to.
 *
 * @returns the URL without a slash at its end.
 * @throws {CDCError} `invalid-argument`.
 */
export function checkAddress({ command, flag, of }: AddressOption, text: string, hasToken: boolean): string {
  const url = URL.parse(text)
  if (url === null || !['http:', 'https:'].includes(url.protocol))
    throw new CDCError('invalid-argument', `${command}: ${flag} ${text} is not an http or https URL`)
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    throw new CDCError('invalid-argument', `${command}: ${flag} is more than the address of ${of}`)
  if (hasToken && url.protocol === 'http:' && !isLocalHTTP(url))
    throw new CDCError(
      'invalid-argument',
      `${command}: the token would go to ${url.host} unencrypted; use https, or http on localhost only`,
    )
  return url.href.replace(/\/+$/, '')
}

/** Checks that a header can hold the token: the platform's own message about one that it can't would print it. */
export function checkToken(command: string, token: string): string {
  if (/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(token)) return token
  throw new CDCError('invalid-argument', `${command}: the token has characters that no HTTP header can hold`)
}
