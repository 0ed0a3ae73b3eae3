-- All customers created today, over all objects of a group of tenants: the first query of "Consuming Events".
-- Parameters, marked with their names: the type, and how the ns begins. Today is a day in UTC.
--
-- Beside "timestamp", when the event happened, each query limits __ingest_ts, when it was ingested: Basin partitions its
-- tables by the day of that, and refuses a QUALIFY over too many of them. This query assumes that an event is ingested at
-- most a day before its own time.
SELECT id, type, "timestamp", ns, actor, "data"
FROM cdc.events
WHERE type = /* :type */ 'Customer.created'
  AND "timestamp" >= date_trunc('day', now())
  AND __ingest_ts >= date_trunc('day', now()) - INTERVAL '1 day'
  AND ns LIKE /* :ns */ 'startups.%'
QUALIFY ROW_NUMBER() OVER (PARTITION BY ns, epoch, lsn, id ORDER BY __ingest_ts) = 1
ORDER BY "timestamp" DESC
LIMIT 10000
