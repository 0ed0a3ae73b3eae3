// What comes after a cursor: from the object while it holds it, and else from the lake's table. One log, hot and cold.

import type { TailPage, TailQuery } from '../admin/log-page.ts'
import { messageOf } from '../error.ts'
import { type Cursor, cursorText } from './cursor.ts'

/** An event as it is passed on. */
export interface TailEvent {
  readonly lsn: number
  readonly type: string
  readonly store?: string
  readonly table?: string
  readonly key?: string
}

/** What is known of the log in the object. */
export type LogEnd = Pick<TailPage, 'epoch' | 'epochLSN' | 'lastLSN'>

/** What to do for clients at a cursor. */
export type Next =
  | { readonly kind: 'events'; readonly events: readonly TailEvent[] }
  /** There is nothing more. */
  | { readonly kind: 'end' }
  /** The next log begins: what is left of the former one is nowhere. */
  | { readonly kind: 'began'; readonly cursor: Cursor }
  /** It is not in the object any more, and not in the table yet. */
  | { readonly kind: 'late' }
  | { readonly kind: 'gone' | 'ahead'; readonly reason: string }

/** The object, and the lake's table if the Worker has the lake. */
export interface LogSources {
  readonly object: (query: TailQuery) => Promise<TailPage<TailEvent>>
  readonly lake: (place: LandedPlace) => Promise<Landed | undefined>
}

export interface LandedPlace {
  readonly ns: string
  readonly source: string
  readonly epoch: string
  readonly after: number
}

/** What the lake's `readLog` returns. */
export interface Landed {
  readonly events: readonly TailEvent[]
  readonly afterHole?: number
  readonly next?: { readonly epoch: string; readonly firstLSN: number }
}

export async function nextEvents(cursor: Cursor, { object, lake }: LogSources): Promise<{ next: Next; end: LogEnd }> {
  const page = await object({ epoch: cursor.epoch, from: cursor.lsn + 1, follow: true })
  const isHere = page.epoch === cursor.epoch
  if (page.events.length > 0 && page.firstLSN === cursor.lsn + 1)
    return { next: { kind: 'events', events: page.events }, end: page }
  if (isHere && cursor.lsn === page.lastLSN) return { next: { kind: 'end' }, end: page }
  if (cursor.epoch > page.epoch || (isHere && cursor.lsn > page.lastLSN))
    return { next: ahead(cursor, page), end: page }
  const { ns, source } = page
  const landed = await lake({ ns, source, epoch: cursor.epoch, after: cursor.lsn })
  return { next: isHere ? nextOfLog(page, landed) : nextOfFormerLog(page, landed), end: page }
}

/** The lake has what has left the object, or will have it soon. */
function nextOfLog({ firstLSN }: TailPage<TailEvent>, landed: Landed | undefined): Next {
  if (landed === undefined)
    return {
      kind: 'gone',
      reason: `the object holds LSN ${firstLSN} and later, and there is no lake to read those before it from`,
    }
  if (landed.events.length > 0) return { kind: 'events', events: landed.events }
  // It was accepted before it left the object, and may wait in the lake until the next commit.
  return { kind: 'late' }
}

/** Nobody can say where a log ended whose object was emptied. What has landed of it is read, and then the next one. */
function nextOfFormerLog({ epoch, epochLSN }: TailPage<TailEvent>, landed: Landed | undefined): Next {
  if (landed !== undefined && landed.events.length > 0) return { kind: 'events', events: landed.events }
  if (landed?.afterHole !== undefined)
    return { kind: 'gone', reason: `the table has a hole before LSN ${landed.afterHole} of a former epoch` }
  const next = landed?.next
  return next !== undefined && next.epoch < epoch
    ? { kind: 'began', cursor: { epoch: next.epoch, lsn: next.firstLSN - 1 } }
    : { kind: 'began', cursor: { epoch, lsn: epochLSN - 1 } }
}

function ahead(cursor: Cursor, { epoch, lastLSN }: LogEnd): Next {
  return {
    kind: 'ahead',
    reason: `the log ends at ${epoch}/${lastLSN}, before ${cursorText(cursor)}: was the object restored?`,
  }
}

/** Where a client begins that names an LSN of the current epoch; or at the end, if it names none. */
export function startOf(from: number | undefined, { epoch, epochLSN, lastLSN }: LogEnd): Cursor {
  return { epoch, lsn: from === undefined ? lastLSN : Math.max(from, epochLSN) - 1 }
}

/**
 * Reads from a binding that may be a lake's. Others have no such method: those of Basin Pipelines keep what they have taken to
 * themselves.
 *
 * @returns nothing if it is not a lake's.
 */
export async function readLake(binding: unknown, place: LandedPlace): Promise<Landed | undefined> {
  if (!hasReadLog(binding)) return undefined
  try {
    return await binding.readLog(place)
  } catch (error) {
    if (/does not implement|is not a function/.test(messageOf(error))) return undefined
    throw error
  }
}

interface LakeBinding {
  readLog(place: LandedPlace): Promise<Landed>
}

/** The stub of a Worker has every name, also if there is nothing behind it. */
function hasReadLog(binding: unknown): binding is LakeBinding {
  return (
    (typeof binding === 'object' || typeof binding === 'function') &&
    binding !== null &&
    typeof Reflect.get(binding, 'readLog') === 'function'
  )
}
