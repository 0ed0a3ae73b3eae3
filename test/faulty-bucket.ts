// An R2 bucket, a catalog and a storage that fail on request: a put, before the object is stored or after it, with the answer lost; a
// call that is not answered; or everything from a given step on, as if the object had been killed there.

/** The next put of a key that contains `key` fails. */
interface Fault {
  readonly key: string
  readonly when: 'before' | 'after'
}

let fault: Fault | undefined

export function failNextPut(key: string, when: Fault['when']): void {
  fault = { key, when }
}

/** A call that is on its way until a test lets it arrive. */
interface Hanging {
  readonly method: string
  readonly key: string
  /** Resolves once the call was made. */
  readonly isMade: Promise<void>
  /** Carries it out, and answers it: nobody may hear that any more. */
  arrive(): Promise<void>
}

const hanging = new Map<Hanging, (call: () => Promise<unknown>) => Promise<unknown>>()

/** The next call of a method of R2, for a key that contains `key`, is not answered. */
export function hangNext(method: keyof R2Bucket, key: string): Hanging {
  const made = Promise.withResolvers<void>()
  const answer = Promise.withResolvers<unknown>()
  let carryOut = (): Promise<unknown> => Promise.reject(new Error(`nobody has called ${method} ${key}`))
  const hang: Hanging = {
    method,
    key,
    isMade: made.promise,
    arrive: async () => {
      answer.resolve(carryOut())
      await answer.promise
    },
  }
  hanging.set(hang, (call) => {
    carryOut = call
    made.resolve()
    return answer.promise
  })
  return hang
}

/** What the call meets, if it is to hang. */
function takeHanging(method: string, key: string) {
  for (const [hang, meet] of hanging)
    if (hang.method === method && key.includes(hang.key)) {
      hanging.delete(hang)
      return meet
    }
  return undefined
}

/** A step is a call to the bucket, to the catalog or to another object of the lake, or a transaction of the storage. */
const death = { stepsLeft: Infinity, when: 'before' as Fault['when'], hasCome: false }

/** From the n-th step on everything fails; with `after`, the n-th step is carried out first. */
export function dieAtStep(n: number, when: Fault['when']): void {
  Object.assign(death, { stepsLeft: n, when, hasCome: false })
}

/** Everything works again. @returns whether that step was reached. */
export function revive(): boolean {
  death.stepsLeft = Infinity
  return death.hasCome
}

/** @returns what to call once the step is done. */
function beginStep(): () => void {
  death.stepsLeft -= 1
  const isLast = death.stepsLeft === 0
  if (death.stepsLeft < 0 || (isLast && death.when === 'before')) die()
  return () => {
    if (isLast) die()
  }
}

function die(): never {
  death.hasCome = true
  throw new Error('dead')
}

/** A bucket, or a binding to a catalog. */
export function faulty<Binding extends R2Bucket | Fetcher>(binding: Binding): Binding {
  return new Proxy(binding, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property)
      if (typeof value !== 'function') return value
      return async (...args: unknown[]) => {
        const hang = takeHanging(property.toString(), String(args[0]))
        if (hang !== undefined) return hang(() => Promise.resolve(value.apply(target, args)))
        const end = beginStep()
        const met = property === 'put' ? takeFault(String(args[0])) : undefined
        if (met?.when === 'before') throw new Error(`put ${String(args[0])} failed`)
        const result: unknown = await value.apply(target, args)
        if (met?.when === 'after') throw new Error(`the answer to put ${String(args[0])} was lost`)
        end()
        return result
      }
    },
  })
}

/** Objects each call of which is a step. */
export function faultyObjects<Objects extends DurableObjectNamespace>(objects: Objects): Objects {
  return new Proxy(objects, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property)
      if (typeof value !== 'function') return value
      return (...args: unknown[]) => faultyStub(value.apply(target, args) as DurableObjectStub)
    },
  })
}

function faultyStub(stub: DurableObjectStub): DurableObjectStub {
  return new Proxy(stub, {
    get(target, property) {
      return async (...args: unknown[]) => {
        const end = beginStep()
        // A method of a stub is a stub too: what it is called by would be a property of it.
        const calls = target as unknown as Record<string | symbol, (...args: unknown[]) => Promise<unknown>>
        const result = await calls[property]?.(...args)
        end()
        return result
      }
    },
  })
}

/** Makes each transaction of a storage a step. */
export function faultyStorage(storage: DurableObjectStorage): void {
  const transactionSync = storage.transactionSync.bind(storage)
  storage.transactionSync = (callback) => {
    const end = beginStep()
    const result = transactionSync(callback)
    end()
    return result
  }
}

function takeFault(key: string): Fault | undefined {
  if (fault === undefined || !key.includes(fault.key)) return undefined
  const met = fault
  fault = undefined
  return met
}
