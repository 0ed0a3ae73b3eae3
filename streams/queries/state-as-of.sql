-- The rows of one table as its store held them at a time, folded from the log: for each key the last change until then,
-- unless that is a delete. state-now.sql explains what it is for, and how changes are ordered.
-- Parameters, all in the first query: the table and its store; the time, which is compared with the time of the
-- commit; the first epoch; and since when the log is read.
WITH changes AS (
  SELECT
    ns,
    "key",
    op,
    "after",
    "timestamp",
    epoch,
    lsn,
    __ingest_ts,
    COALESCE(NULLIF(json_get_int(_meta, 'redrivenFrom'), 0), lsn) AS place
  FROM cdc.events
  WHERE table_url = 'startups.studio/Customer'
    AND store = 'document'
    AND op IN ('c', 'u', 'd', 'r')
    AND "timestamp" <= '2026-11-22T12:00:00Z'
    AND epoch >= ''
    AND __ingest_ts >= '2026-01-01T00:00:00Z'
),
last_changes AS (
  SELECT ns, "key", op, "after", "timestamp", epoch, lsn
  FROM changes
  QUALIFY ROW_NUMBER() OVER (PARTITION BY ns, "key" ORDER BY epoch DESC, place DESC, __ingest_ts DESC) = 1
)
SELECT ns, "key", "after", "timestamp", epoch, lsn
FROM last_changes
WHERE op <> 'd'
ORDER BY ns, "key"
LIMIT 10000
