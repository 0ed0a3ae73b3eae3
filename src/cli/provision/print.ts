// A plan as the command prints it.

import type { IO } from '../command.ts'
import type { Step } from './plan.ts'

const PLAN_FOR_ACCOUNT = 'The plan for your account as it is now:'
const PLAN_WITHOUT_LOGIN = 'wrangler has no login, so this is the plan for an account that has nothing yet:'

export function printPlan(
  steps: readonly Step<string>[],
  { isDryRun, isAccountRead }: { isDryRun: boolean; isAccountRead: boolean },
  io: IO,
): void {
  if (isDryRun) io.line(isAccountRead ? PLAN_FOR_ACCOUNT : PLAN_WITHOUT_LOGIN)
  for (const line of steps.flatMap(linesOf)) io.line(line)
}

function linesOf({ action, resource, name, differences }: Step<string>): string[] {
  const details = differences.map((difference) => `${' '.repeat(10)}${difference}`)
  return [`${action.padEnd(8)}  ${resource.padEnd(9)}  ${name}`, ...details]
}
