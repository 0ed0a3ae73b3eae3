/** The limits of `VectorStore`. */
export const limits = {
  /** Numbers in an embedding. */
  dimension: 8_192,
  /** UTF-8 bytes of a document's content. With the largest metadata and embedding, a row stays below SQLite's 2 MB. */
  contentBytes: 900_000,

  /** Documents that one call of `insertBatch` takes. */
  batchDocuments: 10_000,

  /** Documents that one call of `search` returns. */
  searchDocuments: 1_000,
  /** UTF-16 units of content and metadata that such a call returns. */
  searchCharacters: 16_000_000,
  /** Fields in the filter of a search. Each takes two of a statement's 100 parameters. */
  filterFields: 40,
} as const
