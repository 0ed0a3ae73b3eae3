// The floors of src, as docs/architecture.md draws them. Imports go down only, type imports included.

import { describe, expect, it } from 'vitest'
import { filesOf, findCircle, importsOf } from './imports.ts'

/** From the ground up. A room is a folder of src, or a file at its top; rooms of one floor don't know each other. */
const FLOORS = [
  ['error'],
  ['problem', 'due', 'within', 'hide-from-rpc', 'tail-binding'],
  ['event', 'sqlite', 'http'],
  ['outbox', 'pipeline'],
  ['transaction', 'relay', 'membership'],
  ['store', 'subscription'],
  ['capture', 'snapshot', 'inbox'],
  ['admin'],
  ['durable-object'],
] as const

/** Rooms that stand beside the core. Each lists the rooms of ours that it may know. */
const WINGS: Readonly<Record<string, readonly string[]>> = {
  stores: ['error', 'problem', 'event', 'sqlite', 'store', 'transaction', 'capture'],
  subscriptions: ['error', 'problem', 'event', 'http', 'outbox', 'pipeline', 'relay', 'subscription'],
  senders: ['error', 'problem', 'event', 'http', 'pipeline'],
  ingest: ['error', 'problem', 'due', 'hide-from-rpc', 'event', 'http', 'pipeline'],
  lake: ['error', 'problem', 'due', 'within', 'hide-from-rpc', 'event', 'sqlite', 'http'],
  fleet: ['error', 'hide-from-rpc', 'event', 'sqlite', 'http', 'membership', 'admin'],
  tail: ['error', 'problem', 'hide-from-rpc', 'tail-binding', 'event', 'http', 'admin', 'ingest'],
  console: ['error', 'http', 'admin', 'fleet'],
  testing: ['error', 'event', 'pipeline'],
  cli: ['error', 'problem', 'event', 'http', 'sqlite', 'lake', 'admin', 'tail'],
}

/** The rooms of the lake, each of which may know those before it. What lies at the top of `lake` may know all. */
const LAKE_ROOMS = ['log.ts', 'iceberg', 'table', 'rest', 'intake', 'shards', 'upkeep', 'recover', 'catalog']

const files = filesOf('src')
const imports = new Map(files.map((file) => [file, importsOf(file)]))

function roomOf(file: string): string {
  const [, room = ''] = file.split('/')
  return room.replace(/\.ts$/, '')
}

function mayKnow(room: string, other: string): boolean {
  const wing = WINGS[room]
  if (wing !== undefined) return wing.includes(other)
  const floor = FLOORS.findIndex((rooms) => rooms.some((name) => name === room))
  return FLOORS.slice(0, floor).some((rooms) => rooms.some((name) => name === other))
}

describe('the layers of src', () => {
  it('have a place for every room', () => {
    const rooms = new Set(files.map(roomOf))
    const known = ['index', ...FLOORS.flat(), ...Object.keys(WINGS)]
    expect([...rooms].filter((room) => !known.includes(room))).toEqual([])
    expect(known.filter((room) => !rooms.has(room))).toEqual([])
  })

  it('have imports that go down only', () => {
    const wrong = [...imports].flatMap(([file, names]) =>
      names
        .filter((name) => name.startsWith('src/') && roomOf(name) !== roomOf(file) && roomOf(file) !== 'index')
        .filter((name) => !mayKnow(roomOf(file), roomOf(name)))
        .map((name) => `${file} imports ${name}`),
    )
    expect(wrong).toEqual([])
  })

  it('have rooms in the lake that know only those before them', () => {
    const placeOf = (file: string): number => LAKE_ROOMS.indexOf(file.split('/')[2] ?? '')
    const wrong = [...imports]
      .filter(([file]) => file.startsWith('src/lake/') && placeOf(file) >= 0)
      .flatMap(([file, names]) =>
        names
          .filter((name) => name.startsWith('src/lake/') && (placeOf(name) < 0 || placeOf(name) > placeOf(file)))
          .map((name) => `${file} imports ${name}`),
      )
    expect(wrong).toEqual([])
  })

  it('have no circle of imports, neither in src nor around it', () => {
    const all = ['src', 'examples', 'proofs', 'scripts', 'test'].flatMap(filesOf)
    expect(findCircle(new Map(all.map((file) => [file, importsOf(file)])))).toBeUndefined()
  })

  it('know nothing of what stands around src', () => {
    const outside = [...imports].flatMap(([file, names]) =>
      names.filter((name) => /^(?!src\/)[\w-]+\/.*\.ts$/.test(name)).map((name) => `${file} imports ${name}`),
    )
    expect(outside).toEqual([])
  })

  it('use Node itself only in the command, and zlib where workerd has it too', () => {
    const used = [...imports].flatMap(([file, names]) =>
      names.filter((name) => name.startsWith('node:') && name !== 'node:zlib').map(() => roomOf(file)),
    )
    expect([...new Set(used)]).toEqual(['cli'])
  })
})
