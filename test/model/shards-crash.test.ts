import { describeCrashes } from '../lake/shards/crashes.ts'

describeCrashes(1)
