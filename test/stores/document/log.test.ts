import { DocumentStore, type EventInput } from 'durable-outbox'
import type { Document } from 'durable-outbox/stores'
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { failureOf } from '../../notes.ts'
import { foldRows } from '../fold.ts'
import { freshName, inFreshObject, inObject, logOf } from '../in-stores.ts'

type Note = { text?: string; stars?: number | null; inside?: { a?: unknown; b?: unknown } }

const ids = ['a', 'b', 'c', 'd']
const id = fc.constantFrom(...ids)
const stars = fc.constantFrom(null, 0, 1, 2)
const text = fc.string({ unit: 'binary' }).map((given) => given.toWellFormed())
const inside = fc.record({ a: fc.jsonValue(), b: stars }, { requiredKeys: [] })
const note: fc.Arbitrary<Note> = fc.record({ text, stars, inside }, { requiredKeys: [] })
const where = fc.oneof(
  stars.map((given) => ({ stars: given })),
  fc.subarray(ids).map(($in) => ({ $id: { $in } })),
)

type Store = DocumentStore<Note>
type Model = Map<string, Note & { $version: number }>

/** A call, and what it does to documents in a Map. Both throw if it can't be done. */
interface Action {
  name: string
  run(store: Store): unknown
  model(notes: Model): void
}

const action: fc.Arbitrary<Action> = fc.oneof(
  fc.tuple(id, note).map(([$id, given]) => ({
    name: `create ${$id} ${JSON.stringify(given)}`,
    run: (store: Store) => store.create({ ...given, $id }),
    model: (notes: Model) => add(notes, $id, given),
  })),
  fc.array(fc.tuple(id, note), { maxLength: 3 }).map((given) => ({
    name: `createBatch ${JSON.stringify(given)}`,
    run: (store: Store) => store.createBatch(given.map(([$id, fields]) => ({ ...fields, $id }))),
    model: (notes: Model) => given.forEach(([$id, fields]) => add(notes, $id, fields)),
  })),
  fc.tuple(id, note).map(([$id, given]) => ({
    name: `update ${$id} ${JSON.stringify(given)}`,
    run: (store: Store) => store.update($id, given),
    model: (notes: Model) => set(notes, $id, (own) => ({ ...own, ...given })),
  })),
  fc.tuple(id, stars).map(([$id, b]) => ({
    name: `update ${$id} inside.b ${b}`,
    run: (store: Store) => store.update($id, { 'inside.b': b }),
    model: (notes: Model) => set(notes, $id, (own) => ({ ...own, inside: { ...own.inside, b } })),
  })),
  fc.tuple(id, note).map(([$id, given]) => ({
    name: `replace ${$id} ${JSON.stringify(given)}`,
    run: (store: Store) => store.replace($id, given),
    model: (notes: Model) => set(notes, $id, () => given),
  })),
  fc.tuple(id, note).map(([$id, given]) => ({
    name: `upsert ${$id} ${JSON.stringify(given)}`,
    run: (store: Store) => store.upsert($id, given),
    model: (notes: Model) =>
      notes.has($id) ? set(notes, $id, (own) => ({ ...own, ...given })) : add(notes, $id, given),
  })),
  id.map(($id) => ({
    name: `delete ${$id}`,
    run: (store: Store) => store.delete($id),
    model: (notes: Model) => void notes.delete($id),
  })),
  fc.tuple(id, fc.integer({ min: 1, max: 3 }), stars).map(([$id, $version, given]) => ({
    name: `updateIfVersion ${$id} ${$version} ${given}`,
    run: (store: Store) => store.updateIfVersion($id, { stars: given }, $version),
    model: (notes: Model) => {
      if (notes.get($id)?.$version === $version) set(notes, $id, (own) => ({ ...own, stars: given }))
    },
  })),
  fc.tuple(id, fc.integer({ min: 1, max: 3 })).map(([$id, $version]) => ({
    name: `deleteIfVersion ${$id} ${$version}`,
    run: (store: Store) => store.deleteIfVersion($id, $version),
    model: (notes: Model) => {
      if (notes.get($id)?.$version === $version) notes.delete($id)
    },
  })),
  fc.tuple(where, stars).map(([filter, given]) => ({
    name: `updateBatch ${JSON.stringify(filter)} ${given}`,
    run: (store: Store) => store.updateBatch(filter, { stars: given, 'inside.b': given }),
    model: (notes: Model) => {
      for (const $id of found(notes, filter))
        set(notes, $id, (own) => ({ ...own, stars: given, inside: { ...own.inside, b: given } }))
    },
  })),
  where.map((filter) => ({
    name: `deleteBatch ${JSON.stringify(filter)}`,
    run: (store: Store) => store.deleteBatch(filter),
    model: (notes: Model) => {
      for (const $id of found(notes, filter)) notes.delete($id)
    },
  })),
)

/** Actions in one transaction, or each in its own; one that throws is undone. */
const block = fc.record({
  actions: fc.array(action, { maxLength: 5 }),
  kind: fc.constantFrom('each', 'together', 'failing', 'async'),
})

it('[I1] emits a log from which the store can be rebuilt, and does what plain objects do, whatever calls are made', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(block, { maxLength: 6 }), async (blocks) => {
      await inFreshObject(async (object) => {
        const store: Store = new DocumentStore(object.ctx, 'Note', { indexes: ['stars', 'inside.a'] })
        let model: Model = new Map()
        for (const { actions, kind } of blocks) {
          const runAll = (): void => actions.forEach((step) => step.run(store))
          if (kind === 'together') await outcome(() => object.ctx.transactionSync(runAll))
          if (kind === 'async') await outcome(() => object.ctx.transaction(async () => runAll()))
          if (kind === 'failing')
            await outcome(() =>
              object.ctx.transactionSync(() => {
                runAll()
                throw new Error('on purpose')
              }),
            )
          if (kind === 'together' || kind === 'async')
            model = attempt(model, (notes) => actions.forEach((step) => step.model(notes)))
          if (kind === 'each')
            for (const step of actions) {
              await outcome(() => step.run(store))
              model = attempt(model, (notes) => step.model(notes))
            }
        }
        const held = store.list()
        const log = logOf(object)
        expect(withoutTimes(held)).toEqual(withoutTimes(Array.from(model, ([$id, own]) => ({ ...own, $id }))))
        expect(foldRows(log).get('document/Note') ?? new Map()).toEqual(byId(held))
        expect(log.map(({ lsn }) => lsn)).toEqual(log.map((_, index) => index + 1))
        for (const [index, { op, key, before }] of log.entries()) {
          const earlier = foldRows(log.slice(0, index))
            .get('document/Note')
            ?.get(key ?? '')
          expect({ op, before }).toEqual({ op: earlier === undefined ? 'c' : op, before: earlier })
        }
      })
    }),
    { numRuns: 100 },
  )
})

it('returns its documents as a snapshot, page by page', async () => {
  await inFreshObject((object) => {
    const store: Store = new DocumentStore(object.ctx, 'Note', { indexes: ['stars'] })
    store.createBatch(Array.from({ length: 25 }, (_, index) => ({ stars: index, text: `note ${index}` })))
    store.deleteBatch({ stars: { $lt: 3 } })
    for (const maxRows of [1, 7, 11, 22, 100]) {
      const events: EventInput[] = []
      const sizes: number[] = []
      for (let after: string | undefined, isFirst = true; isFirst || after !== undefined; isFirst = false) {
        const page = store.readRows(after, maxRows)
        events.push(...page.events)
        sizes.push(page.events.length)
        after = page.next
      }
      expect(Math.max(...sizes)).toBeLessThanOrEqual(maxRows)
      expect(sizes).toHaveLength(Math.ceil(22 / maxRows))
      expect(new Set(events.map(({ op }) => op))).toEqual(new Set(['r']))
      expect(foldRows(events).get('document/Note')).toEqual(byId(store.list()))
    }
  })
})

it('[I7] ends a page of the snapshot before it is too large to be held', async () => {
  await inFreshObject((object) => {
    const store = new DocumentStore<{ text: string }>(object.ctx, 'Note')
    for (let batch = 0; batch < 3; batch += 1)
      store.createBatch(Array.from({ length: 30 }, () => ({ text: 'x'.repeat(400_000) })))
    const first = store.readRows(undefined, 100)
    expect(first.events).toHaveLength(79)
    const second = store.readRows(first.next, 100)
    expect(second.events).toHaveLength(11)
    expect(second.next).toBeUndefined()
  })
})

it('outlives the object that holds it, and is empty after deleteAll', async () => {
  const name = freshName()
  const created = await inObject(name, (object) => new DocumentStore<Note>(object.ctx, 'Note').create({ text: 'kept' }))
  await inObject(name, async (object) => {
    const store = new DocumentStore<Note>(object.ctx, 'Note')
    expect(store.list()).toEqual([created])
    await object.ctx.storage.deleteAll()
    expect(store.get(created.$id)).toBeUndefined()
    expect(store.readRows(undefined, 10)).toEqual({ events: [], next: undefined })
    store.create({ $id: 'new', text: 'new' })
    expect(logOf(object)).toMatchObject([{ op: 'c', key: 'new', lsn: 1 }])
  })
})

async function outcome(run: () => unknown): Promise<void> {
  await failureOf(async () => {
    await run()
    throw new Error('it did not fail')
  })
}

/** The model after a change, or as it was if that throws. */
function attempt(notes: Model, change: (notes: Model) => void): Model {
  const changed = new Map(notes)
  try {
    change(changed)
    return changed
  } catch {
    return notes
  }
}

function add(notes: Model, $id: string, fields: Note): void {
  if (notes.has($id)) throw new Error(`${$id} exists already`)
  notes.set($id, { ...plain(fields), $version: 1 })
}

function set(notes: Model, $id: string, change: (own: Note) => Note): void {
  const note = notes.get($id)
  if (note === undefined) throw new Error(`${$id} does not exist`)
  const { $version, ...own } = note
  const changed = plain(change(own))
  if (canonical(changed) !== canonical(own)) notes.set($id, { ...changed, $version: $version + 1 })
}

function found(notes: Model, filter: { stars?: number | null; $id?: { $in: string[] } }): string[] {
  return Array.from(notes.keys()).filter(($id) =>
    filter.$id === undefined ? (notes.get($id)?.stars ?? null) === filter.stars : filter.$id.$in.includes($id),
  )
}

function plain(fields: Note): Note {
  return JSON.parse(JSON.stringify(fields)) as Note
}

/** JSON in which the order of fields makes no difference. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1))
      : inner,
  )
}

function withoutTimes(documents: readonly Partial<Document<Note>>[]): object[] {
  return documents
    .map(({ $createdAt: _at, $updatedAt: _by, ...rest }) => rest)
    .toSorted((a, b) => ((a.$id ?? '') < (b.$id ?? '') ? -1 : 1))
}

function byId(documents: readonly Document<Note>[]): Map<string, unknown> {
  return new Map(documents.map((document) => [document.$id, document]))
}
