export { Lake } from './lake.ts'
export { type LakeEnv, type LakeLimits, type LakeStatus, LakeTable } from './lake-table.ts'
