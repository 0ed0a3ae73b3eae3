-- The rows of one table as its store holds them now, folded from the log: for each key the last change, unless that is
-- a delete. For documents, nodes, edges, relational rows, vectors and captured tables; a columnar or time series
-- change holds a batch or a point, and its key names more than one row.
-- Parameters, all in the first query: the table and its store; the first epoch, for an object that was emptied with
-- deleteAll and whose older rows are gone with the epochs before it ('' reads all of them); and since when the log is
-- read, which must be before its first event. For more rows than the LIMIT, add WHERE "key" > the last one's.
--
-- Changes are ordered by their epochs, which are ULIDs, and within an epoch by LSN. A redriven change counts where it
-- was committed, not where it was sent again. A change that became a dead letter is not in the log: see
-- dead-letters.sql.
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
