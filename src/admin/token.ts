import { HTTPException } from 'hono/http-exception'
import { requireToken } from '../http/token.ts'

/** A hono middleware that admits requests with ADMIN_TOKEN. */
export const requireAdminToken = requireToken('ADMIN_TOKEN', (status, message) => {
  throw new HTTPException(status, { message: `admin: ${message}` })
})
