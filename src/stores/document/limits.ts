import { PARAMETER_CHARACTERS_MAX } from '../pieces.ts'

/** The limits of `DocumentStore`. */
export const limits = {
  /** UTF-8 bytes of one document as JSON. The event of an update holds it twice. */
  documentBytes: 490_000,

  /** Documents that one call of `createBatch`, `updateBatch` or `deleteBatch` changes. */
  batchDocuments: 10_000,
  /** Characters of JSON that such a call changes, before and after: its events wait in memory for the commit. */
  batchCharacters: 16_000_000,

  /** Documents that one call of `query` or `list` returns. */
  pageDocuments: 1_000,
  /** Characters of JSON that such a call returns: all of it is in memory at once, of which an object has 128 MB. */
  pageCharacters: 32_000_000,

  /** Conditions in one filter, including `$and`, `$or` and `$not`. A statement has at most 100 parameters. */
  filterConditions: 30,
  /** Characters of one string in a filter, and of all values of one `$in` as JSON. */
  filterCharacters: PARAMETER_CHARACTERS_MAX,
  /** Values in one `$in`. */
  inValues: 1_000,
  /** UTF-8 bytes of a `$like` pattern, as the platform limits them. */
  likeBytes: 50,

  /** Indexes of one store. Each costs a billed row whenever a document is created or changed. */
  indexes: 10,
} as const
