// Made by `npm run embed`; edit the SQL, not this file.

export const SELECT_EVENTS = "SELECT\n  id,\n  type,\n  \"timestamp\",\n  ns,\n  -- Expand local names to global URLs\n  CONCAT(ns, '/', source) AS source,\n  CASE WHEN \"table\" IS NULL THEN NULL ELSE CONCAT(ns, '/', \"table\") END AS table_url,\n  op,\n  store,\n  \"key\",\n  \"before\",\n  \"after\",\n  actor,\n  \"data\",\n  correlation_id,\n  txid,\n  epoch,\n  lsn,\n  visibility,\n  _meta,\n  __ingest_ts\nFROM events\n"
