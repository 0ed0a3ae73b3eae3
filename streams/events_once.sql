-- The events of a window of time, each once. It is for readers of a table that Basin Pipelines writes, where a batch that
-- was sent again has landed twice. Use it in other queries: WITH events AS (…) SELECT … FROM events.
-- Parameter, marked with its name: how far back the window reaches.
--
-- Two rows are the same event if they have the same ns, epoch, lsn and id. (ns, epoch, lsn) names an event of a log. An
-- event of a CDCEmitter has no epoch and no lsn, and its id alone names it. The id is compared beside the lsn, so that
-- two events that claim one lsn, as after a restore from a backup, are both visible, and not one of them at random. The
-- lsn is compared beside the id, so that an event that was redriven after it had landed keeps both its places, and its
-- log has no hole. COUNT(DISTINCT id) counts it once.
SELECT *
FROM cdc.events
WHERE __ingest_ts >= now() - INTERVAL /* :window */ '7 days'
QUALIFY ROW_NUMBER() OVER (PARTITION BY ns, epoch, lsn, id ORDER BY __ingest_ts) = 1
