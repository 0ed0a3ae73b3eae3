// What must hold of the object after every step, seen through its admin API, its own table and its alarm.

import { expect } from 'vitest'
import type { Notes } from '../worker.ts'
import { checkDelivered, checkEvent } from './match.ts'
import type { Model } from './model.ts'

export interface Surroundings {
  /** A send is in flight: its alarm is armed, whatever else happens. */
  readonly isSending: boolean
  /** The alarm has fired meanwhile. The platform keeps it until its run has ended, and repeats it if that was interrupted. */
  readonly isAlarmRunning: boolean
  /** The object was interrupted in the middle of a send: its alarm may be armed for nothing. */
  readonly wasCutOff: boolean
  /** How far ahead of the clock the alarm may be. */
  readonly alarmWithinMs: number
}

/** Checks the object, and tells the model how far its outbox has come. */
export async function checkObject(notes: Notes, model: Model, surroundings: Surroundings): Promise<void> {
  checkEpoch(notes, model)
  followLetters(notes, model)
  followProgress(notes, model)
  checkLog(notes, model)
  checkAlarm(await notes.ctx.storage.getAlarm(), model, surroundings)
  expect(notes.notes(), 'I1: the notes beside the events').toEqual(model.notes)
}

function checkEpoch(notes: Notes, { life, lives }: Model): void {
  const { epoch, source } = notes.outbox.stats()
  if (life.epoch === undefined && lives.some((other) => other.epoch === epoch))
    throw new Error(`I9: the epoch ${epoch} continues, and a new one was due`)
  life.epoch ??= epoch
  expect({ epoch, source }, 'I9: the epoch and source of the outbox').toEqual({
    epoch: life.epoch,
    source: life.source,
  })
}

/** Only events that were pending, and that the pipeline refused or that killed the runtime, may become dead letters. */
function followLetters(notes: Notes, model: Model): void {
  const { items } = notes.outbox.deadLetters({ limit: 1_000 })
  for (const { lsn, reason, event } of items) {
    if (model.letters.has(lsn)) continue
    if (lsn <= model.life.ackedLSN) throw new Error(`I3: LSN ${lsn} was delivered, and is a dead letter now`)
    if (event.type !== 'Poison' && !reason.startsWith('the runtime ended'))
      throw new Error(`I3: LSN ${lsn} became a dead letter, and is not poison: ${reason}`)
    model.bury(lsn, reason)
  }
  const letters = [...model.letters.values()].toSorted((a, b) => a.lsn - b.lsn)
  expect(
    items.map(({ lsn, id, reason, event }) => ({ lsn, id, reason, type: event.type, data: event.data })),
    'I3: the dead letters',
  ).toEqual(letters.map(({ lsn, id, refusal, type, data }) => ({ lsn, id, reason: refusal?.reason, type, data })))
}

function followProgress(notes: Notes, model: Model): void {
  const { ackedLSN, lastLSN, pendingEvents, isPaused } = notes.outbox.stats()
  expect(lastLSN, 'I2: the last LSN').toBe(model.lastLSN)
  if (ackedLSN < model.life.ackedLSN || ackedLSN > lastLSN)
    throw new Error(`I3: LSN ${ackedLSN} is acknowledged after ${model.life.ackedLSN}, and the log ends at ${lastLSN}`)
  model.acknowledge(ackedLSN)
  expect({ pendingEvents, isPaused }).toEqual({ pendingEvents: model.pendingEvents, isPaused: model.isPaused })
}

/** The log of the current epoch, from the first event that is kept to its end. */
function checkLog(notes: Notes, model: Model): void {
  const { items } = notes.outbox.list({ limit: 1_000 })
  const kept = model.kept()
  expect(
    items.map(({ lsn }) => lsn),
    'I2: the LSNs in the outbox',
  ).toEqual(kept.map(({ lsn }) => lsn))
  for (const [index, entry] of kept.entries()) {
    const item = items[index]
    if (item === undefined) continue
    checkEvent(item, entry, model.life)
    expect(item.status, `the status of LSN ${entry.lsn}`).toBe(
      entry.lsn <= model.life.ackedLSN ? 'delivered' : 'pending',
    )
    if (item.status === 'delivered') checkDelivered(item, entry)
  }
}

function checkAlarm(alarmMs: number | null, model: Model, surroundings: Surroundings): void {
  const { isSending, isAlarmRunning, wasCutOff, alarmWithinMs } = surroundings
  if (isAlarmRunning) return
  const { namedAlarmMs, pendingEvents, isPaused, latestMs } = model
  const isNeeded = pendingEvents > 0 && !isPaused
  if (isNeeded && alarmMs === null) throw new Error(`I6: ${pendingEvents} events are pending, and no alarm is set`)
  if (isNeeded && Number(alarmMs) > latestMs + alarmWithinMs)
    throw new Error(`I6: events are pending, and the alarm is not due for ${Number(alarmMs) - model.nowMs} ms`)
  if (namedAlarmMs !== undefined && (alarmMs === null || alarmMs > namedAlarmMs))
    throw new Error(`I6: a named alarm is set, and the platform's is not, or is later: ${alarmMs}`)
  if (!isNeeded && namedAlarmMs === undefined && !isSending && !wasCutOff && alarmMs !== null)
    throw new Error(`I6: an alarm is set, and ${isPaused ? 'the relay is paused' : 'nothing is pending'}`)
}
