-- What an actor changed, newest first: the third query of "Consuming Events", for audits.
-- Parameters, marked with their names: the actor, how far back, and how many rows. For older rows, add
-- AND "timestamp" < the last one's.
SELECT id, type, "timestamp", ns, source, table_url, op, store, "key", "before", "after", actor, correlation_id, txid
FROM cdc.events
WHERE actor = /* :actor */ 'User/nathan'
  AND op IN ('c', 'u', 'd')
  AND __ingest_ts >= now() - INTERVAL /* :window */ '90 days'
QUALIFY ROW_NUMBER() OVER (PARTITION BY ns, epoch, lsn, id ORDER BY __ingest_ts) = 1
ORDER BY "timestamp" DESC, lsn DESC
LIMIT /* :limit */ 100
