/** Posts JSON. @returns the answer's JSON. @throws {Error} for any status but 2xx. */
export async function postJSON(url: string | URL, body: unknown, maxMs: number): Promise<unknown> {
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(body), signal: AbortSignal.timeout(maxMs) })
  if (response.ok) return response.json()
  throw new Error(`POST ${response.url} answered ${response.status}: ${await response.text()}`)
}
