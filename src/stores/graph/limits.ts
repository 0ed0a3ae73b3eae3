/** The limits of `GraphStore`. */
export const limits = {
  /** UTF-16 units of a node's id. */
  idCharacters: 200,
  /** UTF-16 units of a relationship's type. The key of an event always has room for two ids and a type, even escaped. */
  typeCharacters: 100,

  /** Nodes that one call of `putBatch` takes, and relationships that one call of `relateBatch` takes. */
  batchRows: 10_000,
  /** Relationships that `delete` deletes together with a node. */
  deleteRelationships: 10_000,
  /** Relationships that one call of `outgoing` or `incoming` returns. */
  pageRelationships: 1_000,

  /** Steps of a path, and of the way to a node that `traverse` finds. */
  walkSteps: 100,
  /** Nodes that `traverse`, `shortestPath` and `findPath` visit beside their start. Their ids take at most 2 MB together. */
  walkNodes: 50_000,
  /** Nodes that `detectCycle` visits. */
  cycleNodes: 250_000,
  /** UTF-16 units of the ids of those nodes. */
  cycleIdCharacters: 16_000_000,
  /** Rows that a walk or `detectCycle` reads, as the platform bills them. */
  walkRowsRead: 1_000_000,
} as const
