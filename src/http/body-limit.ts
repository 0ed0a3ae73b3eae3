import type { MiddlewareHandler } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { HTTPException } from 'hono/http-exception'

/** A hono middleware that refuses a body of more bytes with 413. @param area the beginning of the message. */
export function limitBody(area: string, maxBytes: number): MiddlewareHandler {
  return bodyLimit({
    maxSize: maxBytes,
    onError: () => {
      throw new HTTPException(413, { message: `${area}: the body is larger than ${maxBytes} bytes` })
    },
  })
}
