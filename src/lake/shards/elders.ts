// Asks those who took in before: the shards of closed layouts know the ids of events, by which forks and repeats are recognized.

import type { Answer, Question } from '../intake/intake.ts'
import type { ShardName } from '../intake/offer.ts'
import type { Layout } from './layouts.ts'
import { shardOfEvent, shardOfLog } from './routing.ts'

type Ask = (shard: ShardName, question: Question) => Promise<Answer>

/** @param ask asks one of them; of a layout without shards it has the number 0. */
export async function askElders(question: Question, elders: readonly Layout[], ask: Ask): Promise<Answer> {
  if (question.places.length + question.events.length === 0) return { marks: [], seen: [] }
  const answers = await Promise.all(
    elders.flatMap(({ layout, shards }) =>
      Array.from(divide(question, Math.max(shards, 1)), ([shard, asked]) => ask({ layout, shard }, asked)),
    ),
  )
  return { marks: answers.flatMap(({ marks }) => marks), seen: answers.flatMap(({ seen }) => seen) }
}

function divide({ places, events }: Question, shards: number): Map<number, Question> {
  const placesByShard = Map.groupBy(places, ([log]) => shardOfLog(log, shards))
  const eventsByShard = Map.groupBy(events, (event) => shardOfEvent(event, shards))
  const asked = new Set([...placesByShard.keys(), ...eventsByShard.keys()])
  return new Map(
    Array.from(asked, (shard) => [
      shard,
      { places: placesByShard.get(shard) ?? [], events: eventsByShard.get(shard) ?? [] },
    ]),
  )
}
