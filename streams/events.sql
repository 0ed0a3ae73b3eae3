-- From the records of the stream to the rows of the table cdc.events.
-- One file for both: Basin Pipelines runs it as the pipeline's SQL; for the lake it is compiled to JavaScript
-- (npm run embed), and a test holds the two equal.
INSERT INTO cdc_events
SELECT
  id,
  type,
  "timestamp",
  ns,
  -- Expand local names to global URLs
  CONCAT(ns, '/', source) AS source,
  CASE WHEN "table" IS NULL THEN NULL ELSE CONCAT(ns, '/', "table") END AS table_url,
  op,
  store,
  "key",
  "before",
  "after",
  actor,
  "data",
  correlation_id,
  txid,
  epoch,
  lsn,
  visibility,
  _meta
FROM events
