// vitest-pool-workers 0.23.0 wraps the prototype of a Durable Object's class into one more Proxy for each object that it
// makes (`createProxyPrototypeClass`), so that each access of a property takes longer the more objects there were: with a
// thousand of them tests took ten times as long. The first of these proxies does all that the others do.

const construct = Reflect.construct
const prototypes = new WeakMap<object, unknown>()

Reflect.construct = (target: Function, args: ArrayLike<unknown>, newTarget: Function = target): unknown => {
  if (newTarget !== target && Object.getOwnPropertyDescriptor(newTarget, 'prototype')?.writable === true) {
    const first = prototypes.get(newTarget)
    if (first === undefined) prototypes.set(newTarget, newTarget.prototype)
    else newTarget.prototype = first
  }
  return construct(target, args, newTarget)
}
