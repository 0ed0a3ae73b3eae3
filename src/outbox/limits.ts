/** Events in one row of `_cdc_outbox`; a larger transaction becomes several rows. */
export const ROW_EVENTS_MAX = 1_000

/** UTF-8 bytes of one row's events on the wire. The platform documents 2 MB for a row; a batch is at most 4 MB. */
export const ROW_BYTES_MAX = 1_900_000

/** Type of the event that takes the place of a refused one. */
export const DEAD_LETTER_TYPE = 'cdc.dead_letter'
