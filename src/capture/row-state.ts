// What SQLite says of the user's latest statement: `changes()` and `last_insert_rowid()`. Statements of the library's own, and
// of the platform as it sets an alarm, would be told of instead, and a child row would hang on the wrong parent (I12).

import { answerRowFunctions, type StatementKind } from './statement.ts'

const SQLITES_CHANGES = 'changes()'
const STAMPED_CHANGES = '(SELECT changes FROM _cdc_transaction)'

export class RowState {
  readonly #exec: SqlStorage['exec']
  /** The answers as SQL, kept before something else was written; undefined while SQLite's own are right. */
  #kept: { readonly changes: string; readonly lastInsertRowid: string } | undefined
  /** Whether the note of the transaction has been written since the user's latest statement: it kept `changes()`. */
  #isStamped = false

  constructor(exec: SqlStorage['exec']) {
    this.#exec = exec
  }

  /**
   * Keeps the answers: something that is not the user's is about to be written.
   *
   * @param isOpen whether the user's latest statement has rows to return, after which SQLite counts its changes.
   */
  remember(isOpen: boolean): void {
    if (this.#kept !== undefined && this.#kept.changes !== SQLITES_CHANGES) return
    const { changes, lastInsertRowid } = this.#exec<{ changes: string; lastInsertRowid: string }>(
      `SELECT CAST(${this.changesSQL()} AS TEXT) AS changes, CAST(last_insert_rowid() AS TEXT) AS lastInsertRowid`,
    ).one()
    this.#kept = {
      changes: isOpen ? SQLITES_CHANGES : changes,
      lastInsertRowid: this.#kept?.lastInsertRowid ?? lastInsertRowid,
    }
  }

  /** `changes()` as the user's next statement is to see it. */
  changesSQL(): string {
    const kept = this.#kept?.changes ?? SQLITES_CHANGES
    return kept === SQLITES_CHANGES && this.#isStamped ? STAMPED_CHANGES : kept
  }

  /** The note of the transaction was written, with `changesSQL` in it, by an UPDATE that leaves the latest rowid alone. */
  stamped(): void {
    this.#isStamped = true
  }

  /**
   * A statement of the user's has run: SQLite now tells of its changes, and of its latest row if it has inserted any.
   *
   * @param isOpen whether it has rows to return, after which SQLite counts its changes.
   */
  ran({ mayInsert }: Pick<StatementKind, 'mayInsert'>, isOpen: boolean): void {
    this.#isStamped = false
    if (this.#kept === undefined) return
    const hasInserted = mayInsert && (isOpen || this.#exec('SELECT 1 WHERE changes() > 0').toArray().length > 0)
    this.#kept = hasInserted ? undefined : { ...this.#kept, changes: SQLITES_CHANGES }
  }

  /** The query with the answers put in, if SQLite's own are not the user's. */
  answer(query: string): string {
    if (this.#kept === undefined && !this.#isStamped) return query
    return answerRowFunctions(query, {
      changes: this.changesSQL(),
      lastInsertRowid: this.#kept?.lastInsertRowid ?? 'last_insert_rowid()',
    })
  }
}
