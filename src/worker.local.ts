// The Worker that `wrangler dev` runs: the deployed one, with the lake in place of Basin Pipelines.

export * from './worker.ts'
export { default } from './worker.ts'
export { Lake, LakeTable } from './lake/index.ts'
