-- The events of a window of time, each once: for readers of a table that Basin Pipelines writes, where a batch that
-- was sent again has landed twice. It is a part of other queries: WITH events AS (…) SELECT … FROM events.
--
-- What is the same: a row with the same ns, epoch, lsn and id. A log names its events by (ns, epoch, lsn), an event
-- of a CDCEmitter has no epoch and no lsn, and its id alone is its name. The id stands beside the lsn, so that two
-- events that claim one lsn, as after a restore from a backup, are both seen instead of one of them at random. And
-- the lsn stands beside the id, so that an event that was redriven after all keeps both its places, and the log has
-- no hole in it; COUNT(DISTINCT id) counts it once.
SELECT *
FROM cdc.events
WHERE __ingest_ts >= now() - INTERVAL '7 days'
QUALIFY ROW_NUMBER() OVER (PARTITION BY ns, epoch, lsn, id ORDER BY __ingest_ts) = 1
