-- Whether each log is complete: by ns, source and epoch, how many LSNs are missing between the first and the last that
-- landed, which is the first missing one, how many rows are doubles of another, and how many LSNs two different
-- events claim. Logs with something wrong come first. doubled is 0 in the lake; over Basin Pipelines it counts
-- batches that were sent again.
-- Parameters: how far back. A log that began earlier is checked from its first LSN within that time, and events that
-- were replayed within it may appear alone, far before the others: widen the window before you believe in a gap.
WITH places AS (
  SELECT ns, source, epoch, lsn, COUNT(*) AS copies, COUNT(DISTINCT id) AS events
  FROM cdc.events
  WHERE lsn IS NOT NULL
    AND __ingest_ts >= now() - INTERVAL '30 days'
  GROUP BY ns, source, epoch, lsn
),
steps AS (
  SELECT
    ns,
    source,
    epoch,
    lsn,
    copies,
    events,
    LEAD(lsn) OVER (PARTITION BY ns, source, epoch ORDER BY lsn) AS next_lsn
  FROM places
),
logs AS (
  SELECT
    ns,
    source,
    epoch,
    SUM(copies) AS landed_rows,
    MIN(lsn) AS first_lsn,
    MAX(lsn) AS last_lsn,
    MAX(lsn) - MIN(lsn) + 1 - COUNT(*) AS missing,
    MIN(CASE WHEN next_lsn > lsn + 1 THEN lsn + 1 END) AS first_missing_lsn,
    SUM(copies - events) AS doubled,
    SUM(events - 1) AS forked
  FROM steps
  GROUP BY ns, source, epoch
)
SELECT ns, source, epoch, landed_rows, first_lsn, last_lsn, missing, first_missing_lsn, doubled, forked
FROM logs
ORDER BY missing + forked DESC, doubled DESC, ns, source, epoch
LIMIT 10000
