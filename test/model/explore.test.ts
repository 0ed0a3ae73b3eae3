// Each pair of stops takes a tenth of a second, so this is not part of `npm test`.

import { explore } from 'durable-outbox/testing'
import { expect, it } from 'vitest'
import { check, object, writing } from '../testing/writing.ts'
import type { Notes } from '../worker.ts'

it('[I1] [I3] explore stops an object a second time at every point after the first', async () => {
  const { runs, points } = await explore<Notes, string>({ object, check, stops: 2, run: writing('write', 'a') })
  expect(runs).toBeGreaterThan(points.length ** 2 / 2)
})
