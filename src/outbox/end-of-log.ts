// The end of the log, in SQL. Read by the statement that appends, because a counter in memory could be wrong after a
// rollback.

/** LSN of the last event. From the rows alone, it would be 0 again once all of them were pruned. */
export const LAST_LSN = 'max(coalesce((SELECT max(lsn) FROM _cdc_outbox), 0), (SELECT acked_lsn FROM _cdc_state))'

/** The running total of bytes there. */
export const LAST_BYTES =
  'coalesce((SELECT bytes FROM _cdc_outbox ORDER BY lsn DESC LIMIT 1), (SELECT acked_bytes FROM _cdc_state))'
