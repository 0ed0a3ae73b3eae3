-- How many events of each type in each hour of the last day: the second query of "Consuming Events".
-- An id is counted once in each ns, since senders of another ns may use it too.
-- Parameters: the 24 hours. __ingest_ts is limited to one hour more, for clocks that differ.
SELECT type, date_trunc('hour', "timestamp") AS hour, COUNT(DISTINCT CONCAT(ns, '/', id)) AS count
FROM cdc.events
WHERE "timestamp" > now() - INTERVAL '24 hours'
  AND __ingest_ts > now() - INTERVAL '25 hours'
GROUP BY type, date_trunc('hour', "timestamp")
ORDER BY hour DESC, type
LIMIT 10000
