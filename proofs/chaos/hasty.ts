/** The waits of the objects' relays: short, so that a run of a minute has as many of them as a normal day. */
export const HASTY = {
  lingerMs: 20,
  minRetryDelayMs: 20,
  maxRetryDelayMs: 400,
  sendTimeoutMs: 600,
  recoveryMs: 800,
} as const
