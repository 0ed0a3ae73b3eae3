// vitest-pool-workers 0.23.0 wraps the prototype of a Durable Object's class into one more Proxy for each object that it
// makes (`createProxyPrototypeClass`), so that each access of a property takes longer the more objects there were: with a
// thousand of them tests took ten times as long. The first of these proxies does all that the others do.

const prototypes = new WeakMap<object, unknown>()

Reflect.construct = new Proxy(Reflect.construct, {
  apply(construct, self, args: [target: object, args: unknown[], newTarget?: { prototype: unknown }]) {
    const [, , newTarget] = args
    if (newTarget !== undefined && Object.getOwnPropertyDescriptor(newTarget, 'prototype')?.writable === true) {
      const first = prototypes.get(newTarget)
      if (first === undefined) prototypes.set(newTarget, newTarget.prototype)
      else newTarget.prototype = first
    }
    return Reflect.apply(construct, self, args)
  },
})
