// The refusal of a value, in one form: `caller: field.path: problem; …`.

import { CDCError, type CDCErrorCode } from './error.ts'

/** What is wrong with a value, and the place in it. An issue of zod is one too. */
export interface Problem {
  readonly path: readonly PropertyKey[]
  readonly message: string
}

/**
 * The error for a value that has problems.
 *
 * @param caller what was called, such as `outbox.list`.
 */
export function refusal(
  code: CDCErrorCode,
  caller: string,
  problems: readonly Problem[],
  options?: { cause?: unknown },
): CDCError {
  return new CDCError(code, `${caller}: ${describeProblems(problems)}`, options)
}

/** The problems alone, for a message of another form. */
export function describeProblems(problems: readonly Problem[]): string {
  return problems.map(describeProblem).join('; ')
}

function describeProblem({ path, message }: Problem): string {
  return path.length === 0 ? message : `${path.join('.')}: ${message}`
}
