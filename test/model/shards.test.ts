import { describe } from 'vitest'
import { itMatchesItsModel } from '../lake/shards/model.ts'

describe('a lake with shards', () => {
  itMatchesItsModel(60)
})
