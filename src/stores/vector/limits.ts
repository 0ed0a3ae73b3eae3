/** What a vector store takes and gives, at most. Beyond it a call is a `CDCError`. */

/** Numbers in an embedding. */
export const VECTOR_DIMENSION_MAX = 8_192

/** UTF-8 bytes of a document's content. With the largest metadata and embedding it stays below SQLite's 2 MB for a row. */
export const VECTOR_CONTENT_BYTES_MAX = 900_000

/** Documents that one call of `insertBatch` takes. */
export const VECTORS_PER_BATCH_MAX = 10_000

/** Documents that one call of `search` returns. */
export const VECTORS_PER_SEARCH_MAX = 1_000

/** UTF-16 units of content and metadata that one call of `search` returns. */
export const VECTOR_SEARCH_TEXT_MAX = 16_000_000

/** Bytes of embeddings and ids that are kept in memory for searches, unless the store is given another limit. */
export const VECTOR_MEMORY_BYTES = 32 * 1_024 * 1_024
