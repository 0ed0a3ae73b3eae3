// The order of rows in a file.

import { compareValues } from './bounds.ts'
import type { Row } from './schema.ts'

/** Compares rows by some columns, as engines order values; null comes first. */
export function compareRows(columns: readonly string[]): (a: Row, b: Row) => number {
  return (a, b) => {
    for (const column of columns) {
      const [left = null, right = null] = [a[column], b[column]]
      if (left === right) continue
      if (left === null) return -1
      if (right === null) return 1
      return compareValues(left, right)
    }
    return 0
  }
}
