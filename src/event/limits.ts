// The limits of one event. Above one of them it is refused with a `CDCError`; nothing is ever cut.

/** UTF-8 bytes of one event as JSON. This leaves room for its envelope in a 5 MB request and a 2 MB SQLite row. */
export const EVENT_BYTES_MAX = 1_000_000

/** Levels of nesting inside `before`, `after` and `data`. */
export const EVENT_DEPTH_MAX = 64

/** UTF-16 units of a name: `type`, `ns`, `source`, `table`, `key`, `actor`, `correlationId`. */
export const NAME_LENGTH_MAX = 1_024

/** The same for users: `bytes` of an event as JSON, levels of `depth` inside its rows and data, `nameLength` in UTF-16 units. */
export const eventLimits = { bytes: EVENT_BYTES_MAX, depth: EVENT_DEPTH_MAX, nameLength: NAME_LENGTH_MAX } as const
