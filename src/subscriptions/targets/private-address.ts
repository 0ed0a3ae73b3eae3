// Addresses to which nothing is sent by default, because they lead into a private network or to a machine itself. Only what the
// name says is seen: a Worker can't resolve a name, so one that resolves to a private address is not recognised.

import ipaddr from 'ipaddr.js'

/** Names that never lead to a public host: RFC 6761, 6762, 8375, and what clouds and private networks use. */
const PRIVATE_SUFFIXES = [
  'localhost',
  'local',
  'internal',
  'intranet',
  'lan',
  'corp',
  'home',
  'home.arpa',
  'private',
  'test',
  'invalid',
  'onion',
]

/** Why nothing is to be sent to a host, as a URL has it; undefined if its name is a public one. */
export function privateAddressProblem(hostname: string): string | undefined {
  const host = hostname
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
    .toLowerCase()
  if (ipaddr.isValid(host)) {
    // An IPv4 address that is written as one of IPv6 counts as what it is.
    const range = ipaddr.process(host).range()
    return range === 'unicast' ? undefined : `${host} is not a public address (${range})`
  }
  if (!host.includes('.')) return `${host} is a name of a private network`
  const suffix = PRIVATE_SUFFIXES.find((name) => host.endsWith(`.${name}`))
  return suffix === undefined ? undefined : `names that end in .${suffix} are of a private network`
}
