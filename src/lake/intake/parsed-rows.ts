// The records of the buffer's newest rows as they were parsed when they came, so that a commit need not parse them again.

import type { EventRecord } from '../../event/record.ts'

/** Bytes of JSON, of which one commit takes as many by default: what is parsed takes two to three times as much memory. */
const BYTES_MAX = 16_000_000

export class ParsedRows {
  readonly #rows = new Map<number, { readonly records: readonly EventRecord[]; readonly bytes: number }>()
  #bytes = 0

  /** Remembers the records of a row, unless there are too many already. */
  add(seq: number, records: readonly EventRecord[], bytes: number): void {
    if (this.#bytes + bytes > BYTES_MAX) return
    this.#rows.set(seq, { records, bytes })
    this.#bytes += bytes
  }

  /** The records of a row, if they are remembered; from then on they are not, so that they take no memory twice. */
  take(seq: number): readonly EventRecord[] | undefined {
    const row = this.#rows.get(seq)
    if (row === undefined) return undefined
    this.#rows.delete(seq)
    this.#bytes -= row.bytes
    return row.records
  }

  /** Forgets rows that are gone: another row may be given the `seq` of one of them. */
  dropThrough(seq: number): void {
    for (const each of this.#rows.keys()) if (each <= seq) this.take(each)
  }

  forget(): void {
    this.#rows.clear()
    this.#bytes = 0
  }
}
