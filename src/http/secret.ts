// A secret that a Worker is configured with, and that a request has to know.

/**
 * The secret under a name in `env`, empty where there is none. One that was set through a pipe often ends in a line
 * break, which no header can hold.
 */
export function secretOf(env: unknown, name: string): string {
  const { [name]: secret } = Object(env) as Record<string, unknown>
  return typeof secret === 'string' ? secret.trim() : ''
}

/** The token of a header `Authorization: Bearer <token>`. */
export function bearerOf(authorization: string | undefined): string | undefined {
  return /^Bearer (.+)$/i.exec(authorization ?? '')?.[1]?.trim()
}

/** Takes the same time wherever the two differ, and whatever their lengths. */
export async function isSame(given: string, expected: string): Promise<boolean> {
  const [a, b] = await Promise.all([hash(given), hash(expected)])
  return crypto.subtle.timingSafeEqual(a, b)
}

function hash(text: string): Promise<ArrayBuffer> {
  return crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))
}
