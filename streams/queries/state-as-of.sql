-- The rows of one table as its store held them at a time, folded from the log: for each key the last change until then,
-- unless that is a delete. state-now.sql lists the stores, and how changes are ordered.
--
-- Parameters, marked with their names: the ns, and the table and its store; the time, which is compared with the time of
-- the commit; the first epoch ('' reads all); since when the log is read, which must be before its first event; and the
-- LSN, for the rows as they were after one event, with the event's epoch ('' reads all), as LSNs repeat.
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
    COALESCE(NULLIF(json_get_int(_meta, 'redrivenFrom'), 0), lsn) AS place,
    MIN(__ingest_ts) OVER (PARTITION BY ns, source, epoch) AS began
  FROM cdc.events
  WHERE ns = /* :ns */ 'startups.studio'
    AND table_url = CONCAT(ns, '/', /* :table */ 'Customer')
    AND store = /* :store */ 'document'
    AND op IN ('c', 'u', 'd', 'r')
    AND "timestamp" <= /* :time */ '2026-11-22T12:00:00Z'
    AND (
      /* :firstEpoch */ '' = ''
      OR epoch = /* :firstEpoch */ ''
      OR __ingest_ts > (
        SELECT MIN(__ingest_ts) FROM cdc.events
        WHERE epoch = /* :firstEpoch */ '' AND __ingest_ts >= /* :since */ '2026-01-01T00:00:00Z'
      )
    )
    AND (/* :epoch */ '' = '' OR epoch = /* :epoch */ '')
    AND __ingest_ts >= /* :since */ '2026-01-01T00:00:00Z'
),
last_changes AS (
  SELECT ns, "key", op, "after", "timestamp", epoch, lsn
  FROM changes
  WHERE place <= /* :lsn */ 9007199254740991
  QUALIFY ROW_NUMBER() OVER (PARTITION BY ns, "key" ORDER BY began DESC, epoch DESC, place DESC, __ingest_ts DESC) = 1
)
SELECT ns, "key", "after", "timestamp", epoch, lsn
FROM last_changes
WHERE op <> 'd'
ORDER BY ns, "key"
LIMIT /* :limit */ 10000
