// Nodes, and typed relationships between them, in the object's own SQLite. Each call is one transaction, or part of the
// open one, in which its rows and their change events commit together.

import type { $ZodType } from 'zod/v4/core'
import { CDCError } from '../../error.ts'
import type { StoreChange } from '../../event/create-event.ts'
import type { Attribution } from '../../event/unified-event.ts'
import type { AttachedStore, SnapshotPage, StoreContext, StoreSQL } from '../../store.ts'
import type { Transaction } from '../../transaction/transaction.ts'
import { checkBatch, checkStoreName, invalid } from '../checks.ts'
import { jsonArrays } from '../pieces.ts'
import { snapshotPage } from '../snapshot-page.ts'
import { findCycle } from './cycle.ts'
import { limits } from './limits.ts'
import { type GraphDirection, type GraphTable, type RelationshipQuery, selectRelationships } from './query.ts'
import {
  checkId,
  checkRelationshipKey,
  encodeNode,
  encodeRelationship,
  type GraphNode,
  keyOf,
  nodeJSON,
  type Relationship,
  type RelationshipInput,
  relationshipJSON,
  type RelationshipKey,
} from './rows.ts'
import { type PathOptions, shortestPath, traverse, type TraversedNode, type TraverseOptions } from './walk.ts'

/** Schemas of zod or zod/mini, which check data whenever it is written. What they return is kept. */
export interface GraphStoreOptions<NodeData, RelationshipData> {
  nodeSchema?: $ZodType<NodeData>
  relationshipSchema?: $ZodType<RelationshipData | null>
}

type Table = 'nodes' | 'relationships'
type NodeRow = { id: string; data: string }
type RelationshipRow = { from_id: string; type: string; to_id: string; data: string }

/**
 * A relationship needs no nodes: it may connect ids of things that are kept elsewhere.
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
  /** What one call may do. Beyond a limit it throws a `CDCError`, and nothing is written. */
  static readonly limits = limits

  readonly name: string
  readonly #ctx: StoreContext
  readonly #sql: StoreSQL
  readonly #graph: string
  readonly #schemas: GraphStoreOptions<NodeData, RelationshipData>
  readonly #nodes: string
  readonly #relationships: string

  /**
   * @param name letters, digits and `_`. The `table` of events is `<name>.nodes` or `<name>.relationships`.
   * @throws {CDCError} `invalid-argument` for a name that is not valid.
   */
  constructor(ctx: StoreContext, name: string, options: GraphStoreOptions<NodeData, RelationshipData> = {}) {
    checkStoreName('GraphStore', name)
    this.#ctx = ctx
    this.#graph = name
    this.#schemas = options
    this.#nodes = `"graph_${name}_nodes"`
    this.#relationships = `"graph_${name}_relationships"`
    this.name = `graph/${name}`
    this.#sql = ctx.attach(this)
  }

  createTables(sql: SqlStorage): void {
    // WITHOUT ROWID, because an index on a text key would be a second billed row for each.
    sql.exec(`CREATE TABLE IF NOT EXISTS ${this.#nodes} (id TEXT PRIMARY KEY, data TEXT NOT NULL) WITHOUT ROWID`)
    sql.exec(
      `CREATE TABLE IF NOT EXISTS ${this.#relationships}
        (from_id TEXT, type TEXT, to_id TEXT, data TEXT NOT NULL, PRIMARY KEY (from_id, type, to_id)) WITHOUT ROWID`,
    )
    // Worth a billed row for each relationship: without it, following them backwards or deleting a node would read them all.
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
   * Adds a node, or replaces its data. If nothing changes, nothing is written and no event is emitted.
   *
   * @throws {CDCError} `invalid-argument` if the data is not plain JSON, `event-too-large` if no event can hold it.
   */
  put(node: GraphNode<NodeData>, attribution?: Attribution): GraphNode<NodeData> {
    const { row, key, data, json } = encodeNode(node, this.#schemas.nodeSchema, this.#caller('put'))
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

  /** Puts nodes, in order, all or none, at most `limits.batchRows`. @throws {CDCError} like `put`. */
  putBatch(nodes: readonly GraphNode<NodeData>[], attribution?: Attribution): GraphNode<NodeData>[] {
    const caller = this.#caller('putBatch')
    checkBatch(nodes.length, limits.batchRows, 'nodes', caller)
    const encoded = nodes.map((node) => encodeNode(node, this.#schemas.nodeSchema, caller))
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

  /** @returns the node, or nothing if there is none. */
  get(id: string): GraphNode<NodeData> | undefined {
    checkId(id, `${this.#caller('get')}: id`)
    const data = this.#findNode(id)
    return data === undefined ? undefined : { id, data: JSON.parse(data) as NodeData }
  }

  /**
   * Deletes a node and all relationships from it and to it, each with its event; the relationships even if the node itself
   * was never put.
   *
   * @returns whether there was anything to delete.
   * @throws {CDCError} `invalid-argument` beyond `limits.deleteRelationships`.
   */
  delete(id: string, attribution?: Attribution): boolean {
    const caller = this.#caller('delete')
    checkId(id, `${caller}: id`)
    return this.#ctx.transactionSync((tx) => {
      const relationships = this.#sql
        .exec<RelationshipRow>(
          `DELETE FROM ${this.#relationships} WHERE from_id = ?1 OR to_id = ?1 RETURNING * LIMIT ?2`,
          id,
          limits.deleteRelationships + 1,
        )
        .toArray()
      if (relationships.length > limits.deleteRelationships)
        throw invalid(
          caller,
          `${id} has more than ${limits.deleteRelationships} relationships, the limit of one call; unrelate some of them first`,
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
   * @throws {CDCError} `already-exists` if there is one of this type from one to the other, `invalid-argument` if the data
   *   is not plain JSON, `event-too-large` if no event can hold it.
   */
  relate(input: RelationshipInput<RelationshipData>, attribution?: Attribution): Relationship<RelationshipData> {
    const caller = this.#caller('relate')
    const { row, key, data, json } = encodeRelationship(input, this.#schemas.relationshipSchema, caller)
    this.#ctx.transactionSync((tx) => {
      this.#emit(tx, 'relationships', { op: 'c', key, after: json })
      try {
        this.#sql.exec(`INSERT INTO ${this.#relationships} VALUES (?, ?, ?, ?)`, row.from, row.type, row.to, data)
      } catch (error) {
        throw this.#alreadyExists(`[${json}]`, caller) ?? error
      }
    }, attribution)
    return row
  }

  /** Adds relationships, in order, all or none, at most `limits.batchRows`. @throws {CDCError} like `relate`. */
  relateBatch(
    inputs: readonly RelationshipInput<RelationshipData>[],
    attribution?: Attribution,
  ): Relationship<RelationshipData>[] {
    const caller = this.#caller('relateBatch')
    checkBatch(inputs.length, limits.batchRows, 'relationships', caller)
    const encoded = inputs.map((input) => encodeRelationship(input, this.#schemas.relationshipSchema, caller))
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
          throw this.#alreadyExists(rows, caller) ?? error
        }
    }, attribution)
    return encoded.map(({ row }) => row)
  }

  /**
   * Replaces the data of a relationship. If nothing changes, nothing is written and no event is emitted.
   *
   * @throws {CDCError} `not-found` if there is no such relationship; otherwise like `relate`.
   */
  // oxlint-disable-next-line eslint/max-params -- the first three are the relationship, as in unrelate and exists
  updateRelationship(
    from: string,
    to: string,
    type: string,
    { data }: { data: RelationshipData | null },
    attribution?: Attribution,
  ): Relationship<RelationshipData> {
    const caller = this.#caller('updateRelationship')
    const after = encodeRelationship({ from, to, type, data }, this.#schemas.relationshipSchema, caller)
    this.#ctx.transactionSync((tx) => {
      const before = this.#findRelationship(after.row)
      if (before === undefined)
        throw new CDCError('not-found', `${caller}: there is no relationship ${after.key}; relate the two first`)
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

  /** @returns whether there was such a relationship. If not, no event is emitted. */
  unrelate(from: string, to: string, type: string, attribution?: Attribution): boolean {
    checkRelationshipKey({ from, to, type }, this.#caller('unrelate'))
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
    checkRelationshipKey({ from, to, type }, this.#caller('exists'))
    return this.#findRelationship({ from, to, type }) !== undefined
  }

  /**
   * The relationships from a node, by `type` and then by `to`, in pages:
   * `outgoing('User/alice', { type: 'follows', after: page.at(-1) })`.
   *
   * @throws {CDCError} `invalid-argument` for a limit beyond `limits.pageRelationships`.
   */
  outgoing(id: string, query: RelationshipQuery = {}): Relationship<RelationshipData>[] {
    return this.#page('outgoing', id, query)
  }

  /** The relationships to a node, by `type` and then by `from`, in pages. @throws {CDCError} like `outgoing`. */
  incoming(id: string, query: RelationshipQuery = {}): Relationship<RelationshipData>[] {
    return this.#page('incoming', id, query)
  }

  /**
   * All nodes that can be reached from a node, each once and nearest first, without that node itself:
   * `traverse({ start: 'User/alice', types: ['follows'], maxDepth: 3 })`.
   *
   * @throws {CDCError} `invalid-argument` beyond `limits.walkNodes`, 2 MB of their ids, or `limits.walkRowsRead`.
   */
  traverse(options: TraverseOptions): { nodes: TraversedNode[] } {
    return { nodes: traverse(this.#graphTable('traverse'), options) }
  }

  /**
   * @returns the ids of a path with as few steps as possible, including both ends; nothing if there is none of at most
   *   `maxDepth` steps.
   * @throws {CDCError} like `traverse`.
   */
  shortestPath(options: PathOptions): string[] | undefined {
    return shortestPath(this.#graphTable('shortestPath'), options)
  }

  /** Any path; at present, a shortest one. @throws {CDCError} like `traverse`. */
  findPath(options: PathOptions): string[] | undefined {
    return shortestPath(this.#graphTable('findPath'), options)
  }

  /**
   * Looks for a cycle of relationships of a type that can be reached from a node, whether or not it leads through that node.
   *
   * @returns the ids of a cycle, the first of which is also the last: `['b', 'c', 'b']`. Nothing if there is none.
   * @throws {CDCError} `invalid-argument` beyond `limits.cycleNodes`, `limits.cycleIdCharacters` or `limits.walkRowsRead`.
   */
  detectCycle(start: string, type: string): string[] | undefined {
    return findCycle(this.#graphTable('detectCycle'), start, type)
  }

  #readNodes(place: string[], maxRows: number): SnapshotPage {
    const rows = this.#sql
      .exec<NodeRow>(`SELECT id, data FROM ${this.#nodes} WHERE id > ? ORDER BY id LIMIT ?`, ...place, maxRows)
      .toArray()
    return snapshotPage(rows, maxRows, {
      eventOf: ({ id, data }) => ({
        op: 'r',
        store: 'graph',
        table: this.#table('nodes'),
        key: id,
        after: { id, data: JSON.parse(data) as unknown },
      }),
      placeOf: ({ id }) => JSON.stringify([id]),
    })
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
    return snapshotPage(rows, maxRows, {
      eventOf: (row) => ({
        op: 'r',
        store: 'graph',
        table: this.#table('relationships'),
        key: keyOf(relationshipOf(row)),
        after: { ...relationshipOf(row) },
      }),
      placeOf: ({ from_id, type, to_id }) => JSON.stringify([from_id, type, to_id]),
    })
  }

  #page(direction: GraphDirection, id: string, query: RelationshipQuery): Relationship<RelationshipData>[] {
    const caller = this.#caller(direction)
    const { sql, params } = selectRelationships(this.#relationships, direction, id, { ...query, caller })
    return this.#sql
      .exec<RelationshipRow>(sql, ...params)
      .toArray()
      .map((row) => relationshipOf<RelationshipData>(row))
  }

  /** @returns its data as JSON. */
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

  /** @returns its data as JSON. */
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

  /** Why relationships could not be inserted, if the reason is that one exists already, or is twice among them. */
  #alreadyExists(rows: string, caller: string): CDCError | undefined {
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
      : new CDCError('already-exists', `${caller}: relationship ${keyOf(taken)} already exists; update it instead`)
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

  #caller(method: string): string {
    return `${this.#graph}.${method}`
  }

  #graphTable(method: string): GraphTable {
    return { sql: this.#sql, table: this.#relationships, caller: this.#caller(method) }
  }
}

function relationshipOf<Data>({ from_id: from, to_id: to, type, data }: RelationshipRow): Relationship<Data> {
  return { from, to, type, data: JSON.parse(data) as Data | null }
}
