-- What one actor changed, newest first: the third query of "Consuming Events", for audits.
-- Parameters: the actor, how far back, and how many rows. For older ones, add AND "timestamp" < the last one's.
SELECT id, type, "timestamp", ns, source, table_url, op, store, "key", "before", "after", actor, correlation_id, txid
FROM cdc.events
WHERE actor = 'User/nathan'
  AND op IN ('c', 'u', 'd')
  AND __ingest_ts >= now() - INTERVAL '90 days'
QUALIFY ROW_NUMBER() OVER (PARTITION BY ns, epoch, lsn, id ORDER BY __ingest_ts) = 1
ORDER BY "timestamp" DESC, lsn DESC
LIMIT 100
