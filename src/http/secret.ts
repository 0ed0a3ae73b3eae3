// A secret that a Worker is configured with, and a request has to know.

/**
 * The secret under a name in `env`; empty if there is none. One that was set through a shell pipe often ends in a line break,
 * which a header cannot hold.
 */
export function secretOf(env: unknown, name: string): string {
  const { [name]: secret } = Object(env) as Record<string, unknown>
  return typeof secret === 'string' ? secret.trim() : ''
}

/** The token of a header `Authorization: Bearer <token>`. */
export function bearerOf(authorization: string | undefined): string | undefined {
  return /^Bearer (.+)$/i.exec(authorization ?? '')?.[1]?.trim()
}

/** Takes the same time for any difference and any length. */
export async function isSame(given: string, expected: string): Promise<boolean> {
  const [a, b] = await Promise.all([hash(given), hash(expected)])
  return crypto.subtle.timingSafeEqual(a, b)
}

function hash(text: string): Promise<ArrayBuffer> {
  return crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))
}
