// SQL that the statements of this store share.

/** Whether the value of a point is a number. In a column of REAL affinity, other values are JSON, and so text. */
export const IS_NUMBER = `typeof(value) = 'real'`

/** The start of a time's bucket, also before 1970. The bucket's length is the statement's first parameter. */
export function bucketOf(time: string): string {
  return `${time} - ((${time} % ?1) + ?1) % ?1`
}

/**
 * A recursive CTE of the distinct values of the column with which a table's key begins, followed by a NULL. It jumps from
 * each value to the next one in the index; DISTINCT would read every row.
 */
export function distinctCTE(name: string, column: string, table: string): string {
  return `${name}(${column}) AS (
    SELECT min(${column}) FROM ${table}
    UNION ALL
    SELECT (SELECT min(${column}) FROM ${table} WHERE ${column} > ${name}.${column}) FROM ${name} WHERE ${column} IS NOT NULL
  )`
}
