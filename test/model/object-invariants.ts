// What must hold of the object after every step, seen through its admin API, its own table and its alarm.

import { expect } from 'vitest'
import type { Notes } from '../worker.ts'
import { checkDelivered, checkEvent } from './match.ts'
import type { Model } from './model.ts'

export interface Conditions {
  /** A send is on its way: its alarm is armed, whatever else is asked for. */
  readonly isSending: boolean
  /** The alarm has fired meanwhile. The platform keeps it until its run has ended, and repeats it if that was interrupted. */
  readonly isAlarmRunning: boolean
  /** The object was interrupted in the middle of a send: its alarm may be armed for nothing. */
  readonly wasInterrupted: boolean
  /** How far ahead of the clock the alarm may be, at most. */
  readonly alarmWithinMs: number
}

/** Checks the object, and tells the model how far its outbox has come. */
export async function checkObject(notes: Notes, model: Model, conditions: Conditions): Promise<void> {
  checkEpoch(notes, model)
  followLetters(notes, model)
  followProgress(notes, model)
  checkLog(notes, model)
  checkAlarm(await notes.ctx.storage.getAlarm(), model, conditions)
  expect(notes.notes(), 'I1: the notes beside the events').toEqual(model.notes)
}

function checkEpoch(notes: Notes, { log, logs }: Model): void {
  const { epoch, source } = notes.outbox.stats()
  if (log.epoch === undefined && logs.some((other) => other.epoch === epoch))
    throw new Error(`I9: the epoch ${epoch} goes on, and a new one was due`)
  log.epoch ??= epoch
  expect({ epoch, source }, 'I9: the epoch and source of the outbox').toEqual({
    epoch: log.epoch,
    source: log.source,
  })
}

/** Only events that were pending, and that the pipeline refused or that killed the runtime, may become dead letters. */
function followLetters(notes: Notes, model: Model): void {
  const { items } = notes.outbox.deadLetters({ limit: 1_000 })
  for (const { lsn, reason, event } of items) {
    if (model.letters.has(lsn)) continue
    if (lsn <= model.log.ackedLSN) throw new Error(`I3: LSN ${lsn} was delivered, and is a dead letter now`)
    if (event.type !== 'Poison' && !reason.startsWith('the runtime ended'))
      throw new Error(`I3: LSN ${lsn} became a dead letter, and is no poison: ${reason}`)
    model.moveToDeadLetters(lsn, reason)
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
  if (ackedLSN < model.log.ackedLSN || ackedLSN > lastLSN)
    throw new Error(`I3: LSN ${ackedLSN} is acknowledged after ${model.log.ackedLSN}, and the log ends at ${lastLSN}`)
  model.acknowledge(ackedLSN)
  expect({ pendingEvents, isPaused }).toEqual({ pendingEvents: model.pendingEvents, isPaused: model.isPaused })
}

/** The log of the current epoch: a script has too few events for a segment, so all of them are kept. */
function checkLog(notes: Notes, model: Model): void {
  const { items } = notes.outbox.list({ limit: 1_000 })
  const kept = model.log.entries
  expect(
    items.map(({ lsn }) => lsn),
    'I2: the LSNs in the outbox',
  ).toEqual(kept.map(({ lsn }) => lsn))
  for (const [index, entry] of kept.entries()) {
    const item = items[index]
    if (item === undefined) continue
    checkEvent(item, entry, model.log)
    expect(item.status, `the status of LSN ${entry.lsn}`).toBe(
      entry.lsn <= model.log.ackedLSN ? 'delivered' : 'pending',
    )
    if (item.status === 'delivered') checkDelivered(item, entry)
  }
}

function checkAlarm(alarmMs: number | null, model: Model, conditions: Conditions): void {
  const { isSending, isAlarmRunning, wasInterrupted, alarmWithinMs } = conditions
  if (isAlarmRunning) return
  const { namedAlarmMs, pendingEvents, isPaused, latestMs } = model
  const isNeeded = pendingEvents > 0 && !isPaused
  if (isNeeded && alarmMs === null) throw new Error(`I6: ${pendingEvents} events are pending, and no alarm is set`)
  if (isNeeded && Number(alarmMs) > latestMs + alarmWithinMs)
    throw new Error(`I6: events are pending, and the alarm is not due for ${Number(alarmMs) - model.nowMs} ms`)
  if (namedAlarmMs !== undefined && (alarmMs === null || alarmMs > namedAlarmMs))
    throw new Error(`I6: a named alarm is set, and the platform's is not, or for later: ${alarmMs}`)
  if (!isNeeded && namedAlarmMs === undefined && !isSending && !wasInterrupted && alarmMs !== null)
    throw new Error(`I6: an alarm is set, and ${isPaused ? 'the relay is paused' : 'nothing is pending'}`)
}
