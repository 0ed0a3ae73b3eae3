export { type ConsoleOptions, consoleRoutes, type ShownLake } from './console-routes.ts'
