// Which methods of an object can be called over RPC. The platform lets a stub call every method on the prototype chain,
// whatever TypeScript calls protected; a property of the instance itself it does not. So what is ours and not meant for
// callers becomes such a property: `this.configure()` works as before, and a stub finds nothing.

/**
 * Closes all methods and accessors of a class to RPC, except those on a list. What a subclass adds under other names stays
 * open: those are its author's.
 *
 * @param instance an object of the class, or of a subclass that overrides some of its methods.
 * @param prototype the class's own.
 * @param open the names that callers may use.
 */
export function closeToRPC(instance: object, prototype: object, open: readonly string[]): void {
  for (const name of Object.getOwnPropertyNames(prototype)) {
    // The platform calls `alarm` on the prototype, and reserves the name.
    if (name === 'constructor' || name === 'alarm' || open.includes(name)) continue
    // A class field of that name is the instance's own already.
    if (Object.hasOwn(instance, name)) continue
    const value: unknown = Reflect.get(instance, name)
    Object.defineProperty(instance, name, { value, writable: true, configurable: true })
  }
}
