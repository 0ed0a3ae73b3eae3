import { expect, it } from 'vitest'
import { checkScripts } from './any-script.ts'

it('[I2] [I3] a tail gives each client each LSN once, in order, whatever happens', async () => {
  expect(await checkScripts(5)).toBe(5)
})
