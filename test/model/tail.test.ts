import { expect, it } from 'vitest'
import { checkScripts } from '../tail/any-script.ts'

it('[I2] [I3] a tail gives each client each LSN once, in order, in any script', async () => {
  expect(await checkScripts(150)).toBe(150)
})
