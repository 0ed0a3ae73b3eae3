-- The events of a window of time, each once: for readers of a table that Basin Pipelines writes, where a batch that
-- was sent again has landed twice. It belongs inside other queries: WITH events AS (…) SELECT … FROM events.
--
-- Two rows are the same event if they have the same ns, epoch, lsn and id. An event of a log is named by (ns, epoch,
-- lsn); an event of a CDCEmitter has no epoch and no lsn, and is named by its id alone. The id is compared beside the
-- lsn, so that two events that claim one lsn, as after a restore from a backup, are both kept instead of one of them
-- at random. The lsn is compared beside the id, so that an event that was redriven keeps both its places and leaves no
-- hole in its log; COUNT(DISTINCT id) counts it once.
SELECT *
FROM cdc.events
WHERE __ingest_ts >= now() - INTERVAL '7 days'
QUALIFY ROW_NUMBER() OVER (PARTITION BY ns, epoch, lsn, id ORDER BY __ingest_ts) = 1
