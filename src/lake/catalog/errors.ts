// The form of a refusal, for each of the two kinds of clients.

/** `IcebergErrorResponse` of the REST catalog's specification. */
export function catalogError(status: number, type: string, message: string): Response {
  const headers = status === 401 ? { 'www-authenticate': 'Bearer' } : undefined
  const error = { message: `catalog: ${message}`, type, code: status }
  return Response.json({ error }, { status, ...(headers && { headers }) })
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html */
export function s3Error(status: number, code: string, message: string, headers: Record<string, string> = {}): Response {
  const text = message.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  const xml = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${text}</Message></Error>`
  return new Response(xml, { status, headers: { 'content-type': 'application/xml', ...headers } })
}
