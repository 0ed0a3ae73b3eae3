import { describeCrashes } from './crashes.ts'

// All steps: `npm run model`.
describeCrashes(16)
