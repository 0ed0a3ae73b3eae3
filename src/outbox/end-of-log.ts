// Where the log ends, in SQL, for whoever appends to it: read in the statement that appends, because a counter in memory
// could be wrong after a rollback.

/** LSN of the last event. The rows alone would begin again at 1 once they are all gone. */
export const LAST_LSN = 'max(coalesce((SELECT max(lsn) FROM _cdc_outbox), 0), (SELECT acked_lsn FROM _cdc_state))'

/** The running total of bytes there. */
export const LAST_BYTES =
  'coalesce((SELECT bytes FROM _cdc_outbox ORDER BY lsn DESC LIMIT 1), (SELECT acked_bytes FROM _cdc_state))'
