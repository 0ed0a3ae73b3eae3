// Pieces of SQL that the statements of this store have in common.

/** Points have this in a column of REAL affinity: what is not a number is JSON there, and text. */
export const IS_NUMBER = `typeof(value) = 'real'`

/** When the bucket of a time begins, also before 1970. The bucket's length is the statement's first parameter. */
export function bucketOf(time: string): string {
  return `${time} - ((${time} % ?1) + ?1) % ?1`
}

/**
 * A recursive CTE of the distinct values, and a NULL at its end, of the column with which a table's key begins. It goes
 * from each to the next one in the index, where DISTINCT would read every row.
 */
export function distinctCTE(name: string, column: string, table: string): string {
  return `${name}(${column}) AS (
    SELECT min(${column}) FROM ${table}
    UNION ALL
    SELECT (SELECT min(${column}) FROM ${table} WHERE ${column} > ${name}.${column}) FROM ${name} WHERE ${column} IS NOT NULL
  )`
}
