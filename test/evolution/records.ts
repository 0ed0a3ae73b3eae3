// Records as they were, and as they may become. They are never edited: each stands for what is stored in outboxes and sent
// by Workers that nobody has deployed again.

/** What version 1 says at least. */
export const OLDEST = `{
  "id": "01ARZ3NDEKTSV4RRFFQ69G5FA1",
  "type": "Customer.created",
  "timestamp": "2026-01-14T08:30:00.000Z",
  "ns": "evolution",
  "source": "DO/Notes",
  "epoch": "01ARZ3NDEKTSV4RRFFQ69G5FAV",
  "lsn": 1,
  "txid": "01ARZ3NDEKTSV4RRFFQ69G5FAW",
  "_meta": { "schemaVersion": 1, "source": "DO/Notes", "epoch": "01ARZ3NDEKTSV4RRFFQ69G5FAV" }
}`

/** A later version: a field more, an operation and a store that nobody here knows, and more in `_meta`. */
export const NEWER = `{
  "id": "01ARZ3NDEKTSV4RRFFQ69G5FA2",
  "type": "cdc.truncate",
  "timestamp": "2027-06-01T08:30:00.000001Z",
  "ns": "evolution",
  "source": "DO/Notes",
  "epoch": "01ARZ3NDEKTSV4RRFFQ69G5FAV",
  "lsn": 2,
  "txid": "01ARZ3NDEKTSV4RRFFQ69G5FAX",
  "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
  "op": "t",
  "store": "blob",
  "table": "Customer",
  "visibility": "partner",
  "_meta": {
    "schemaVersion": 2,
    "source": "DO/Notes",
    "epoch": "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "region": "weur",
    "retries": 0
  }
}`
