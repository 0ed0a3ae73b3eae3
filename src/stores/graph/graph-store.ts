// Nodes, and typed relationships between them, in the object's own SQLite. Each call is one transaction, or part of the
// open one, in which what it writes and its change events commit together.

import type { AttachedStore, SnapshotPage, StoreContext, StoreSQL } from '../../store.ts'
import type { Transaction } from '../../transaction/transaction.ts'
import { CDCError } from '../../error.ts'
import type { StoreChange } from '../../event/create-event.ts'
import type { Attribution } from '../../event/unified-event.ts'
import { checkStoreName } from '../checks.ts'
import { type GraphDirection, type RelationshipQuery, selectRelationships } from './query.ts'
import {
  checkId,
  checkRelationshipKey,
  encodeNode,
  encodeRelationship,
  type GraphNode,
  type GraphSchemas,
  jsonArrays,
  keyOf,
  nodeJSON,
  type Relationship,
  type RelationshipInput,
  relationshipJSON,
  type RelationshipKey,
} from './rows.ts'
import {
  detectCycle,
  type Ground,
  type PathOptions,
  shortestPath,
  traverse,
  type TraversedNode,
  type TraverseOptions,
} from './walk.ts'

/** Nodes or relationships that one call of `putMany` or `relateMany` takes, at most. */
export const GRAPH_ROWS_PER_BATCH_MAX = 10_000
/** Relationships that go with a node that is deleted, at most. */
export const RELATIONSHIPS_PER_DELETE_MAX = 10_000

type Table = 'nodes' | 'relationships'
type RelationshipRow = { from_id: string; type: string; to_id: string; data: string }

/**
 * A relationship needs no nodes: it may be between ids of things that are kept elsewhere.
 *
 * @example
 * social = new GraphStore<Person, { since: number }>(this.ctx, 'Social')
 * social.put({ id: 'User/alice', data: { name: 'Alice' } })
 * social.relate({ from: 'User/alice', to: 'User/bob', type: 'follows', data: { since: 2024 } })
 */
export class GraphStore<
  NodeData extends object = Record<string, unknown>,
  RelationshipData extends object = Record<string, unknown>,
> implements AttachedStore {
  readonly name: string
  readonly #ctx: StoreContext
  readonly #sql: StoreSQL
  readonly #graph: string
  readonly #schemas: GraphSchemas<NodeData, RelationshipData>
  readonly #nodes: string
  readonly #relationships: string

  /**
   * @param graph letters, digits and `_`. Its events have `<graph>.nodes` or `<graph>.relationships` as their `table`.
   * @param schemas what the data must be beyond its types, checked as the program runs.
   * @throws {CDCError} `invalid-argument` for another name.
   */
  constructor(ctx: StoreContext, graph = 'graph', schemas: GraphSchemas<NodeData, RelationshipData> = {}) {
    checkStoreName('GraphStore', 'graph', graph)
    this.#ctx = ctx
    this.#graph = graph
    this.#schemas = schemas
    this.#nodes = `"graph_${graph}_nodes"`
    this.#relationships = `"graph_${graph}_relationships"`
    this.name = `graph/${graph}`
    this.#sql = ctx.attach(this)
  }

  createTables(sql: SqlStorage): void {
    // WITHOUT ROWID, because an index for a text key would be a second billed row for each.
    sql.exec(`CREATE TABLE IF NOT EXISTS ${this.#nodes} (id TEXT PRIMARY KEY, data TEXT NOT NULL) WITHOUT ROWID`)
    sql.exec(
      `CREATE TABLE IF NOT EXISTS ${this.#relationships}
        (from_id TEXT, type TEXT, to_id TEXT, data TEXT NOT NULL, PRIMARY KEY (from_id, type, to_id)) WITHOUT ROWID`,
    )
    // Worth a billed row for each relationship: going against their direction, and deleting a node, would read them all.
    sql.exec(
      `CREATE INDEX IF NOT EXISTS "graph_${this.#graph}_incoming" ON ${this.#relationships} (to_id, type, from_id)`,
    )
  }

  /** First the nodes, then the relationships. A place in them is a primary key as JSON. */
  readRows(after: string | undefined, maxRows: number): SnapshotPage {
    const place = after === undefined ? [''] : (JSON.parse(after) as string[])
    if (place.length > 1) return this.#readRelationships(place, maxRows)
    const nodes = this.#readNodes(place, maxRows)
    if (nodes.next !== undefined) return nodes
    const { events, next } = this.#readRelationships(['', '', ''], maxRows - nodes.events.length)
    return { events: [...nodes.events, ...events], next }
  }

  /**
   * Adds a node, or gives it other data. Where nothing changes, nothing is written and no event is emitted.
   *
   * @throws {CDCError} `invalid-argument` where the data isn't plain JSON, `event-too-large` beyond `EVENT_BYTES_MAX`.
   */
  put(node: GraphNode<NodeData>, attribution?: Attribution): GraphNode<NodeData> {
    const { row, key, data, json } = encodeNode(node, this.#schemas.nodes, this.#method('put'))
    this.#ctx.transactionSync((tx) => {
      const before = this.#findNode(key)
      if (before === data) return
      this.#emitPut(tx, { key, before, json })
      this.#sql.exec(
        `INSERT INTO ${this.#nodes} VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET data = excluded.data`,
        key,
        data,
      )
    }, attribution)
    return row
  }

  /** Puts nodes, in order, all or none of them. @throws {CDCError} like `put`. */
  putMany(nodes: readonly GraphNode<NodeData>[], attribution?: Attribution): GraphNode<NodeData>[] {
    const method = this.#method('putMany')
    checkBatch(nodes, method)
    const encoded = nodes.map((node) => encodeNode(node, this.#schemas.nodes, method))
    this.#ctx.transactionSync((tx) => {
      const held = this.#findNodes(encoded.map(({ key }) => key))
      const changed = encoded.filter(({ key, data, json }) => {
        const before = held.get(key)
        if (before === data) return false
        this.#emitPut(tx, { key, before, json })
        held.set(key, data)
        return true
      })
      for (const rows of jsonArrays(changed.map(({ json }) => json)))
        this.#sql.exec(
          `INSERT INTO ${this.#nodes} SELECT value ->> 'id', value -> 'data' FROM json_each(?) WHERE TRUE
            ON CONFLICT (id) DO UPDATE SET data = excluded.data`,
          rows,
        )
    }, attribution)
    return encoded.map(({ row }) => row)
  }

  /** @returns the node, or nothing where there is none. */
  get(id: string): GraphNode<NodeData> | undefined {
    checkId(id, `${this.#method('get')}: id`)
    const data = this.#findNode(id)
    return data === undefined ? undefined : { id, data: JSON.parse(data) as NodeData }
  }

  /**
   * Deletes a node and all relationships from it and to it, each with its event; the relationships also where the node
   * itself was never put.
   *
   * @returns whether there was anything to delete.
   * @throws {CDCError} `invalid-argument` beyond `RELATIONSHIPS_PER_DELETE_MAX`.
   */
  delete(id: string, attribution?: Attribution): boolean {
    const method = this.#method('delete')
    checkId(id, `${method}: id`)
    return this.#ctx.transactionSync((tx) => {
      const relationships = this.#sql
        .exec<RelationshipRow>(
          `DELETE FROM ${this.#relationships} WHERE from_id = ?1 OR to_id = ?1 RETURNING * LIMIT ?2`,
          id,
          RELATIONSHIPS_PER_DELETE_MAX + 1,
        )
        .toArray()
      if (relationships.length > RELATIONSHIPS_PER_DELETE_MAX)
        throw new CDCError(
          'invalid-argument',
          `${method}: ${id} has more than ${RELATIONSHIPS_PER_DELETE_MAX} relationships; unrelate some of them before`,
        )
      for (const { from_id: from, to_id: to, type, data } of relationships)
        this.#emitUnrelated(tx, { from, to, type }, data)
      const [node] = this.#sql
        .exec<{ data: string }>(`DELETE FROM ${this.#nodes} WHERE id = ? RETURNING data`, id)
        .toArray()
      if (node !== undefined) this.#emit(tx, 'nodes', { op: 'd', key: id, before: nodeJSON(id, node.data) })
      return node !== undefined || relationships.length > 0
    }, attribution)
  }

  /**
   * Adds a relationship.
   *
   * @throws {CDCError} `already-exists` where there is one of this type from one to the other, `invalid-argument` where
   *   the data isn't plain JSON, `event-too-large` beyond `EVENT_BYTES_MAX`.
   */
  relate(input: RelationshipInput<RelationshipData>, attribution?: Attribution): Relationship<RelationshipData> {
    const method = this.#method('relate')
    const { row, key, data, json } = encodeRelationship(input, this.#schemas.relationships, method)
    this.#ctx.transactionSync((tx) => {
      this.#emit(tx, 'relationships', { op: 'c', key, after: json })
      try {
        this.#sql.exec(`INSERT INTO ${this.#relationships} VALUES (?, ?, ?, ?)`, row.from, row.type, row.to, data)
      } catch (error) {
        throw this.#alreadyExists(`[${json}]`, method) ?? error
      }
    }, attribution)
    return row
  }

  /** Adds relationships, in order, all or none of them. @throws {CDCError} like `relate`. */
  relateMany(
    inputs: readonly RelationshipInput<RelationshipData>[],
    attribution?: Attribution,
  ): Relationship<RelationshipData>[] {
    const method = this.#method('relateMany')
    checkBatch(inputs, method)
    const encoded = inputs.map((input) => encodeRelationship(input, this.#schemas.relationships, method))
    this.#ctx.transactionSync((tx) => {
      for (const { key, json } of encoded) this.#emit(tx, 'relationships', { op: 'c', key, after: json })
      for (const rows of jsonArrays(encoded.map(({ json }) => json)))
        try {
          this.#sql.exec(
            `INSERT INTO ${this.#relationships}
              SELECT value ->> 'from', value ->> 'type', value ->> 'to', value -> 'data' FROM json_each(?)`,
            rows,
          )
        } catch (error) {
          throw this.#alreadyExists(rows, method) ?? error
        }
    }, attribution)
    return encoded.map(({ row }) => row)
  }

  /**
   * Gives a relationship other data. Where nothing changes, nothing is written and no event is emitted.
   *
   * @throws {CDCError} `not-found` where there is no such relationship, and else like `relate`.
   */
  // oxlint-disable-next-line eslint/max-params -- the first three are the relationship, as in unrelate and exists
  updateRelationship(
    from: string,
    to: string,
    type: string,
    { data }: { data: RelationshipData | null },
    attribution?: Attribution,
  ): Relationship<RelationshipData> {
    const method = this.#method('updateRelationship')
    const after = encodeRelationship({ from, to, type, data }, this.#schemas.relationships, method)
    this.#ctx.transactionSync((tx) => {
      const before = this.#findRelationship(after.row)
      if (before === undefined)
        throw new CDCError('not-found', `${method}: there is no relationship ${after.key}; relate the two first`)
      if (before === after.data) return
      const { key, json } = after
      this.#emit(tx, 'relationships', { op: 'u', key, before: relationshipJSON(after.row, before), after: json })
      this.#sql.exec(
        `UPDATE ${this.#relationships} SET data = ? WHERE from_id = ? AND type = ? AND to_id = ?`,
        after.data,
        from,
        type,
        to,
      )
    }, attribution)
    return after.row
  }

  /** @returns whether there was such a relationship. Where there was none, no event is emitted. */
  unrelate(from: string, to: string, type: string, attribution?: Attribution): boolean {
    checkRelationshipKey({ from, to, type }, this.#method('unrelate'))
    return this.#ctx.transactionSync((tx) => {
      const [row] = this.#sql
        .exec<{ data: string }>(
          `DELETE FROM ${this.#relationships} WHERE from_id = ? AND type = ? AND to_id = ? RETURNING data`,
          from,
          type,
          to,
        )
        .toArray()
      if (row !== undefined) this.#emitUnrelated(tx, { from, to, type }, row.data)
      return row !== undefined
    }, attribution)
  }

  /** Whether there is a relationship of this type from one to the other. */
  exists(from: string, to: string, type: string): boolean {
    checkRelationshipKey({ from, to, type }, this.#method('exists'))
    return this.#findRelationship({ from, to, type }) !== undefined
  }

  /**
   * The relationships from a node, by `type` and then by `to`, in pages:
   * `outgoing('User/alice', { type: 'follows', after: page.at(-1) })`.
   *
   * @throws {CDCError} `invalid-argument` for a limit beyond `RELATIONSHIPS_PER_PAGE_MAX`.
   */
  outgoing(id: string, query: RelationshipQuery = {}): Relationship<RelationshipData>[] {
    return this.#page('outgoing', id, query)
  }

  /** The relationships to a node, by `type` and then by `from`, in pages. @throws {CDCError} like `outgoing`. */
  incoming(id: string, query: RelationshipQuery = {}): Relationship<RelationshipData>[] {
    return this.#page('incoming', id, query)
  }

  /**
   * All nodes that can be reached from one, each once and nearest first, without that one:
   * `traverse({ start: 'User/alice', types: ['follows'], maxDepth: 3 })`.
   *
   * @throws {CDCError} `invalid-argument` beyond `WALK_NODES_MAX` or `WALK_ROWS_READ_MAX`.
   */
  traverse(options: TraverseOptions): { nodes: TraversedNode[] } {
    return { nodes: traverse(this.#ground('traverse'), options) }
  }

  /**
   * A path with as few steps as there can be, both ends among them; `null` where there is none of at most `maxDepth`.
   *
   * @throws {CDCError} like `traverse`.
   */
  shortestPath(options: PathOptions): string[] | null {
    return shortestPath(this.#ground('shortestPath'), options)
  }

  /** Any path; so it is a shortest one. @throws {CDCError} like `traverse`. */
  findPath(options: PathOptions): string[] | null {
    return shortestPath(this.#ground('findPath'), options)
  }

  /**
   * Whether the relationships of a type, followed from a node, come to a cycle, be it through that node or beyond it.
   *
   * @throws {CDCError} `invalid-argument` beyond `WALK_ROWS_READ_MAX`.
   */
  detectCycle(start: string, type: string): boolean {
    return detectCycle(this.#ground('detectCycle'), start, type)
  }

  #readNodes(place: string[], maxRows: number): SnapshotPage {
    const rows = this.#sql
      .exec<{ id: string; data: string }>(
        `SELECT id, data FROM ${this.#nodes} WHERE id > ? ORDER BY id LIMIT ?`,
        ...place,
        maxRows,
      )
      .toArray()
    const last = rows.at(-1)
    return {
      events: rows.map(({ id, data }) => ({
        op: 'r',
        store: 'graph',
        table: this.#table('nodes'),
        key: id,
        after: { id, data: JSON.parse(data) as unknown },
      })),
      next: last === undefined || rows.length < maxRows ? undefined : JSON.stringify([last.id]),
    }
  }

  #readRelationships(place: string[], maxRows: number): SnapshotPage {
    const rows = this.#sql
      .exec<RelationshipRow>(
        `SELECT * FROM ${this.#relationships} WHERE (from_id, type, to_id) > (?, ?, ?)
          ORDER BY from_id, type, to_id LIMIT ?`,
        ...place,
        maxRows,
      )
      .toArray()
    const last = rows.at(-1)
    return {
      events: rows.map((row) => ({
        op: 'r',
        store: 'graph',
        table: this.#table('relationships'),
        key: keyOf(relationshipOf(row)),
        after: { ...relationshipOf(row) },
      })),
      next:
        last === undefined || rows.length < maxRows ? undefined : JSON.stringify([last.from_id, last.type, last.to_id]),
    }
  }

  #page(direction: GraphDirection, id: string, query: RelationshipQuery): Relationship<RelationshipData>[] {
    const method = this.#method(direction)
    const { sql, params } = selectRelationships(this.#relationships, direction, id, { ...query, method })
    return this.#sql
      .exec<RelationshipRow>(sql, ...params)
      .toArray()
      .map((row) => relationshipOf<RelationshipData>(row))
  }

  /** @returns the JSON of its data. */
  #findNode(id: string): string | undefined {
    const [row] = this.#sql.exec<{ data: string }>(`SELECT data FROM ${this.#nodes} WHERE id = ?`, id).toArray()
    return row?.data
  }

  #findNodes(ids: readonly string[]): Map<string, string> {
    const found = new Map<string, string>()
    for (const array of jsonArrays(ids.map((id) => JSON.stringify(id)))) {
      const rows = this.#sql.exec<{ id: string; data: string }>(
        `SELECT id, data FROM ${this.#nodes} WHERE id IN (SELECT value FROM json_each(?))`,
        array,
      )
      for (const { id, data } of rows) found.set(id, data)
    }
    return found
  }

  /** @returns the JSON of its data. */
  #findRelationship({ from, to, type }: RelationshipKey): string | undefined {
    const [row] = this.#sql
      .exec<{ data: string }>(
        `SELECT data FROM ${this.#relationships} WHERE from_id = ? AND type = ? AND to_id = ?`,
        from,
        type,
        to,
      )
      .toArray()
    return row?.data
  }

  /** Why relationships could not be inserted, if it is that one is there already, or twice among them. */
  #alreadyExists(rows: string, method: string): CDCError | undefined {
    const [taken] = this.#sql
      .exec<{ from: string; to: string; type: string }>(
        `SELECT value ->> 'from' AS "from", value ->> 'to' AS "to", value ->> 'type' AS type FROM json_each(?)
          GROUP BY 1, 2, 3
          HAVING count(*) > 1 OR EXISTS (
            SELECT 1 FROM ${this.#relationships} AS held
            WHERE held.from_id = value ->> 'from' AND held.type = value ->> 'type' AND held.to_id = value ->> 'to'
          )
          LIMIT 1`,
        rows,
      )
      .toArray()
    return taken === undefined
      ? undefined
      : new CDCError('already-exists', `${method}: there is ${keyOf(taken)} already; update the relationship instead`)
  }

  #emitPut(tx: Transaction, { key, before, json }: { key: string; before: string | undefined; json: string }): void {
    if (before === undefined) this.#emit(tx, 'nodes', { op: 'c', key, after: json })
    else this.#emit(tx, 'nodes', { op: 'u', key, before: nodeJSON(key, before), after: json })
  }

  #emitUnrelated(tx: Transaction, relationship: RelationshipKey, data: string): void {
    const before = relationshipJSON(relationship, data)
    this.#emit(tx, 'relationships', { op: 'd', key: keyOf(relationship), before })
  }

  #emit(tx: Transaction, table: Table, change: Omit<StoreChange, 'store' | 'table'>): void {
    tx.emitChange({ store: 'graph', table: this.#table(table), ...change })
  }

  #table(table: Table): string {
    return `${this.#graph}.${table}`
  }

  /** What an error names. */
  #method(method: string): string {
    return `${this.#graph}.${method}`
  }

  #ground(method: string): Ground {
    return { sql: this.#sql, table: this.#relationships, method: this.#method(method) }
  }
}

function relationshipOf<Data>({ from_id: from, to_id: to, type, data }: RelationshipRow): Relationship<Data> {
  return { from, to, type, data: JSON.parse(data) as Data | null }
}

function checkBatch(rows: readonly unknown[], method: string): void {
  if (rows.length > GRAPH_ROWS_PER_BATCH_MAX)
    throw new CDCError(
      'invalid-argument',
      `${method}: ${rows.length} at once, the limit is ${GRAPH_ROWS_PER_BATCH_MAX}; call it several times, in one transaction`,
    )
}
