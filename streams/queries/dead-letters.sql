-- The events that the pipeline refused, each with its outcome: open, redriven or discarded. The record of a dead letter
-- has the place of the refused event in the log, and in its data the event's id and type and the reason. The event itself
-- waits in its object. An event that was redriven and refused again is shown with its last reason.
-- Parameter, marked with its name in three places: how far back. A dead letter that was redriven before that is shown as
-- open.
WITH letters AS (
  SELECT
    ns,
    source,
    epoch,
    lsn,
    "timestamp",
    json_get_str("data", 'id') AS event_id,
    json_get_str("data", 'type') AS event_type,
    json_get_str("data", 'reason') AS reason
  FROM cdc.events
  WHERE type = 'cdc.dead_letter'
    AND __ingest_ts >= now() - INTERVAL /* :window */ '30 days'
  QUALIFY ROW_NUMBER() OVER (PARTITION BY ns, json_get_str("data", 'id') ORDER BY epoch DESC, lsn DESC) = 1
),
settlements AS (
  SELECT ns, id AS event_id, 'redriven' AS outcome
  FROM cdc.events
  WHERE json_contains(_meta, 'redrivenFrom')
    AND __ingest_ts >= now() - INTERVAL /* :window */ '30 days'
  UNION ALL
  SELECT ns, json_get_str("data", 'id') AS event_id, 'discarded' AS outcome
  FROM cdc.events
  WHERE type = 'cdc.dead_letter_discarded'
    AND __ingest_ts >= now() - INTERVAL /* :window */ '30 days'
),
outcomes AS (
  SELECT ns, event_id, MAX(outcome) AS outcome
  FROM settlements
  GROUP BY ns, event_id
)
SELECT
  letters.ns,
  letters.source,
  letters.lsn,
  letters."timestamp",
  letters.event_id,
  letters.event_type,
  letters.reason,
  COALESCE(outcomes.outcome, 'open') AS outcome
FROM letters
LEFT JOIN outcomes ON letters.ns = outcomes.ns AND letters.event_id = outcomes.event_id
ORDER BY CASE WHEN outcomes.outcome IS NULL THEN 0 ELSE 1 END, letters."timestamp" DESC, letters.lsn DESC
LIMIT 10000
