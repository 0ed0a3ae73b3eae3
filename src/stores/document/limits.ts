// What one call may do. Every limit has a name and a unit; going over it is a `CDCError`, and nothing is written.

/** UTF-8 bytes of one document as JSON: an event of an update holds it twice, and is at most `EVENT_BYTES_MAX`. */
export const DOCUMENT_BYTES_MAX = 490_000

/** Documents that one call of `query` or `list` returns. */
export const DOCUMENTS_PER_PAGE_MAX = 1_000
export const DOCUMENTS_PER_PAGE = 100

/** Characters of JSON that one page may hold: all of it is in memory at once, of which an object has 128 MB. */
export const PAGE_CHARACTERS_MAX = 32_000_000

/** Documents that one call of `createMany`, `updateMany` or `deleteMany` changes. */
export const DOCUMENTS_PER_BATCH_MAX = 10_000

/** Characters of JSON of what one of these calls changes, before and after: its events wait in memory for the commit. */
export const BATCH_CHARACTERS_MAX = 16_000_000

/** Characters of JSON in one parameter of a statement, which the platform limits to 2 MB: a character is 3 bytes at most. */
export const PARAMETER_CHARACTERS_MAX = 600_000

/** Conditions in one filter, `$and`, `$or` and `$not` counted with them. A statement has at most 100 parameters. */
export const FILTER_CONDITIONS_MAX = 30

/** Values in one `$in`. */
export const IN_VALUES_MAX = 1_000

/** UTF-8 bytes of a `$like` pattern, as the platform limits them. */
export const LIKE_BYTES_MAX = 50

/** Indexes of one store: each costs a billed row whenever a document is created or changed. */
export const INDEXES_MAX = 10
