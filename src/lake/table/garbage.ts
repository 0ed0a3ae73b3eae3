// Files that the table no longer needs, until they are deleted. Older snapshots may still read one, and so may a reader that
// began with an older snapshot.

export class Garbage {
  readonly #sql: SqlStorage

  constructor(sql: SqlStorage) {
    this.#sql = sql
  }

  /** Notes files that no snapshot from a version on reads. */
  add(keys: readonly string[], version: number, nowMs: number): void {
    for (const key of keys)
      this.#sql.exec(
        'INSERT OR IGNORE INTO lake_garbage (key, version, since_ms) VALUES (?, ?, ?)',
        key,
        version,
        nowMs,
      )
  }

  /** Lets what was noted in the future, by a clock that was ahead, have been noted now. */
  correctTimes(nowMs: number): void {
    this.#sql.exec('UPDATE lake_garbage SET since_ms = ?1 WHERE since_ms > ?1', nowMs)
  }

  /** When the oldest was noted of those that no snapshot from a version on reads. */
  oldestMs(oldestVersion: number): number | undefined {
    const { sinceMs } = this.#sql
      .exec<{ sinceMs: number | null }>(
        'SELECT min(since_ms) AS sinceMs FROM lake_garbage WHERE version <= ?',
        oldestVersion,
      )
      .one()
    return sinceMs ?? undefined
  }

  /** Some files that no snapshot from a version on reads, and that were noted at a time or before. */
  keys(oldestVersion: number, sinceMs: number, limit: number): string[] {
    return this.#sql
      .exec<{ key: string }>(
        'SELECT key FROM lake_garbage WHERE version <= ? AND since_ms <= ? LIMIT ?',
        oldestVersion,
        sinceMs,
        limit,
      )
      .toArray()
      .map(({ key }) => key)
  }

  /** Forgets files that were deleted. */
  forget(keys: readonly string[]): void {
    this.#sql.exec('DELETE FROM lake_garbage WHERE key IN (SELECT value FROM json_each(?))', JSON.stringify(keys))
  }
}
