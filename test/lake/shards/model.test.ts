import { describe } from 'vitest'
import { itMatchesItsModel } from './model.ts'

// More of them: `npm run model`.
describe('a lake with shards', () => {
  itMatchesItsModel(4)
})
