// The platform gives an object one alarm. Whoever needs it has a claim on it, and it is due when the first claim is.

/** One user of the alarm. */
export interface AlarmClaim {
  /** Makes the alarm due at a time, or earlier if another claim is. Part of the transaction that is open, if there is one. */
  arm(atMs: number): void
  /** Makes the alarm due as all claims say now. To be called when this one's due time has changed. */
  rearm(): void
  /** When the platform's alarm is due, in milliseconds since 1970. */
  get(): Promise<number | null>
}

export class SharedAlarm {
  readonly #storage: DurableObjectStorage
  readonly #claims: (() => number | undefined)[] = []
  readonly #beforeChange: (() => void)[] = []
  /** When the alarm that runs now was due. */
  #runningMs = 0

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage
  }

  /** Calls the listener before the platform's alarm is set or deleted, which writes to the object's database. */
  onChange(listener: () => void): void {
    this.#beforeChange.push(listener)
  }

  /** @param dueMs when this user needs the alarm, in milliseconds since 1970; undefined while it does not. */
  claim(dueMs: () => number | undefined): AlarmClaim {
    this.#claims.push(dueMs)
    return {
      arm: (atMs) => this.#set(Math.min(atMs, this.#earliest(dueMs) ?? Infinity)),
      rearm: () => this.#rearm(),
      get: () => this.#storage.getAlarm(),
    }
  }

  /** To be called as the alarm fires, with the time that it was due. */
  begin(scheduledMs: number): void {
    this.#runningMs = scheduledMs
  }

  #rearm(): void {
    const dueMs = this.#earliest()
    if (dueMs !== undefined) return this.#set(dueMs)
    for (const listener of this.#beforeChange) listener()
    void this.#storage.deleteAlarm()
  }

  #earliest(except?: () => number | undefined): number | undefined {
    const times = this.#claims.filter((dueMs) => dueMs !== except).map((dueMs) => dueMs())
    const known = times.filter((time) => time !== undefined)
    return known.length === 0 ? undefined : Math.min(...known)
  }

  #set(atMs: number): void {
    // Never for the very millisecond of the running alarm: the platform's scheduler would not be told of that one, and it
    // would never fire (measured on workerd 2026-08-15 and 2026-11-17). Not awaited: inside a synchronous transaction it is
    // written at once, and its failure is the commit's failure.
    for (const listener of this.#beforeChange) listener()
    void this.#storage.setAlarm(Math.max(atMs, this.#runningMs + 1))
  }
}
