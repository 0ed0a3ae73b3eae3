/**
 * Keeps methods that are meant for subclasses from being called by whoever holds a stub: `protected` is a word of TypeScript's
 * only. The platform calls over RPC what is on an object's prototype, and nothing that is the object's own property
 * (measured on workerd 2026-11-28; developers.cloudflare.com/workers/runtime-apis/rpc/visibility).
 */
export function hideFromRPC(object: object, ...names: readonly string[]): void {
  for (const name of names) {
    const method: unknown = Reflect.get(object, name)
    if (typeof method !== 'function') continue
    // A subclass may still define a field of that name.
    Object.defineProperty(object, name, { value: method.bind(object), configurable: true, writable: true })
  }
}
