-- Whether each log is whole. For each ns, source and epoch: how many LSNs are missing between the first and the last that
-- landed, the first missing LSN, how many rows repeat another row, and how many LSNs are claimed by two different events.
-- Logs with a problem come first. doubled is 0 in the lake; over Basin Pipelines it counts batches that were sent again.
-- Parameter, marked with its name: how far back. A log that began earlier is checked from the first LSN of the window,
-- and an event replayed within the window may stand alone before that: widen the window before you believe in a gap.
WITH places AS (
  SELECT ns, source, epoch, lsn, COUNT(*) AS copies, COUNT(DISTINCT id) AS events
  FROM cdc.events
  WHERE lsn IS NOT NULL
    AND __ingest_ts >= now() - INTERVAL /* :window */ '30 days'
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
