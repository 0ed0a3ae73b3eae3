-- The rows of one table as its store holds them now, folded from the log: for each key the last change, unless that is
-- a delete. This is for documents, nodes, edges, relational rows, vectors and captured tables. A columnar or time series
-- change holds a batch or a point, and its key names more than one row.
--
-- Parameters, marked with their names: the ns, and the table and its store; the first epoch, for an object that was
-- emptied with deleteAll, whose older rows went with the epochs before it ('' reads all); and since when the log is read,
-- which must be before its first event. To read every ns, leave out the first condition: the second one still tells a
-- table from those of the same name elsewhere. For more rows than the LIMIT, add WHERE "key" > the last one's.
--
-- Changes are ordered by their epochs, and within an epoch by LSN. Of two epochs that is the first whose changes arrived
-- first: an epoch is a ULID, but the clock may have stepped back between the two. A redriven change counts where it was
-- committed, not where it was sent again. A change that is a dead letter is not in the log: see dead-letters.sql.
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
    AND (
      /* :firstEpoch */ '' = ''
      OR epoch = /* :firstEpoch */ ''
      OR __ingest_ts > (
        SELECT MIN(__ingest_ts) FROM cdc.events
        WHERE epoch = /* :firstEpoch */ '' AND __ingest_ts >= /* :since */ '2026-01-01T00:00:00Z'
      )
    )
    AND __ingest_ts >= /* :since */ '2026-01-01T00:00:00Z'
),
last_changes AS (
  SELECT ns, "key", op, "after", "timestamp", epoch, lsn
  FROM changes
  QUALIFY ROW_NUMBER() OVER (PARTITION BY ns, "key" ORDER BY began DESC, epoch DESC, place DESC, __ingest_ts DESC) = 1
)
SELECT ns, "key", "after", "timestamp", epoch, lsn
FROM last_changes
WHERE op <> 'd'
ORDER BY ns, "key"
LIMIT 10000
