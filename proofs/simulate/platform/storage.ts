// `ctx.storage` of one instance, over the disk of its object. Its methods are own properties, because the library replaces some.

import { Cursor } from './cursor.ts'
import type { Disk } from './disk.ts'

/** The instance that the storage is of: its gates, and its view of the alarm. */
export interface StorageOwner {
  enterSection(): () => void
  deliver(what: string, run: () => void): void
  getAlarm(): number | null
  setAlarm(atMs: number | null): void
}

export function createStorage(disk: Disk, instance: StorageOwner): DurableObjectStorage {
  const alarm = {
    getAlarm: async () => instance.getAlarm(),
    setAlarm: async (when: number | Date) => instance.setAlarm(Number(when)),
    deleteAlarm: async () => instance.setAlarm(null),
  }
  const storage = {
    ...alarm,
    sql: {
      exec(text: string, ...bindings: unknown[]) {
        const { outcome, onEnd } = disk.run(text, bindings)
        return new Cursor(outcome, onEnd)
      },
      get databaseSize() {
        return 0
      },
    },
    transactionSync: <Result>(callback: () => Result) => disk.transactionSync(callback),
    transaction: async <Result>(callback: (txn: DurableObjectTransaction) => Promise<Result>) => {
      const leave = instance.enterSection()
      // As on the platform, it begins in a later turn of the queue.
      await Promise.resolve()
      try {
        return await disk.transaction(async () => {
          let isRolledBack = false
          const rollback = (): void => {
            isRolledBack = true
          }
          const txn = { ...alarm, rollback }
          const result = await callback(txn as unknown as DurableObjectTransaction)
          return { result, isRolledBack }
        })
      } finally {
        leave()
      }
    },
    sync: () => new Promise<void>((resolve) => disk.whenDurable(() => instance.deliver('sync', resolve))),
    deleteAll: async () => disk.deleteAll(),
  }
  // What of the platform's interface is missing here, the library does not use.
  return storage as unknown as DurableObjectStorage
}
