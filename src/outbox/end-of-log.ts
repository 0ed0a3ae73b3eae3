// The end of the log, in SQL. Read by the statement that appends, because a counter in memory could be wrong after a
// rollback. The state has it too, for when the newest table is empty: else it would be 0 again. The last row is never behind that.

/** LSN of the last event. If the newest table is empty, that is in a segment, which may have been dropped. */
export const LAST_LSN =
  'coalesce((SELECT max(lsn) FROM _cdc_outbox), (SELECT max(sealed_lsn, acked_lsn) FROM _cdc_state))'

/** The running total of bytes there. */
export const LAST_BYTES =
  'coalesce((SELECT bytes FROM _cdc_outbox ORDER BY lsn DESC LIMIT 1), (SELECT max(sealed_bytes, acked_bytes) FROM _cdc_state))'
