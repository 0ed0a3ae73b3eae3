// The address of a server as a command line gives it, and the token that goes there.

import { isLocalHTTP } from '../http/loopback.ts'
import { usage } from './command.ts'

/**
 * Checks that a text is the address of a server, and that a token may be sent there.
 *
 * @param option names the option, for error messages.
 * @returns the URL without a slash at its end.
 * @throws {CDCError} `invalid-argument`.
 */
export function checkAddress(option: string, text: string, hasToken: boolean): string {
  const url = URL.parse(text)
  if (url === null || !['http:', 'https:'].includes(url.protocol))
    throw usage(`${option} ${text} is not an http or https URL`)
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    throw usage(`${option} is more than the address of a server`)
  if (hasToken && url.protocol === 'http:' && !isLocalHTTP(url))
    throw usage(`the token would go to ${url.host} unencrypted; use https, or http on localhost only`)
  return url.href.replace(/\/+$/, '')
}

/** Checks that a header can hold a token: the platform's own message about one that it cannot hold would print it. */
export function checkToken(token: string): string {
  if (/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(token)) return token
  throw usage('the token has characters that no HTTP header can hold')
}
