-- How far the table is behind each source: the seconds from an event until it was ingested, and the seconds since the
-- newest event. The sources that are furthest behind come first.
-- Parameter, marked with its name: how far back. A redriven event keeps its own time and would count as late, so it is
-- left out.
WITH landed AS (
  SELECT
    ns,
    source,
    "timestamp",
    lsn,
    date_part('epoch', __ingest_ts) - date_part('epoch', "timestamp") AS seconds
  FROM cdc.events
  WHERE __ingest_ts >= now() - INTERVAL /* :window */ '24 hours'
    AND NOT json_contains(_meta, 'redrivenFrom')
)
SELECT
  ns,
  source,
  COUNT(*) AS landed_rows,
  MAX(lsn) AS last_lsn,
  MAX("timestamp") AS newest,
  round(date_part('epoch', now()) - date_part('epoch', MAX("timestamp")), 1) AS seconds_since_newest,
  round(AVG(seconds), 1) AS seconds_to_land_mean,
  round(MAX(seconds), 1) AS seconds_to_land_max
FROM landed
GROUP BY ns, source
ORDER BY seconds_to_land_max DESC, ns, source
LIMIT 10000
