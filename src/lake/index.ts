// `durable-outbox/lake`: the embedded pipeline, its table, and the routes that engines read it by.

export { catalogRoutes, type LakeHolder } from './catalog/catalog-routes.ts'
export { fileRoutes } from './catalog/file-routes.ts'
export type { CatalogEnv } from './catalog/access.ts'
export { Lake } from './lake.ts'
export { LakeIntake } from './lake-intake.ts'
export { type LakeEnv, type LakeStatus, LakeTable } from './lake-table.ts'
export type { LakeLimits } from './limits.ts'
