// An R2 bucket whose puts fail when a test says so: before the object is stored, or after, with the answer lost.

/** The next put of a key that holds `key` fails. */
interface Fault {
  readonly key: string
  readonly when: 'before' | 'after'
}

let fault: Fault | undefined

export function failNextPut(key: string, when: Fault['when']): void {
  fault = { key, when }
}

export function faultyBucket(bucket: R2Bucket): R2Bucket {
  return new Proxy(bucket, {
    get(target, property) {
      if (property === 'put') return (...args: Parameters<R2Bucket['put']>) => put(target, args)
      const value: unknown = Reflect.get(target, property)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

async function put(bucket: R2Bucket, args: Parameters<R2Bucket['put']>): Promise<R2Object | null> {
  const met = fault !== undefined && args[0].includes(fault.key) ? fault : undefined
  if (met !== undefined) fault = undefined
  if (met?.when === 'before') throw new Error(`put ${args[0]} failed`)
  const stored = await bucket.put(...args)
  if (met?.when === 'after') throw new Error(`the answer to put ${args[0]} was lost`)
  return stored
}
