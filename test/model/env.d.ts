/** The part of the environment that vitest passes to the tests: variables whose names begin with VITE_. */
interface ImportMeta {
  readonly env: Readonly<Record<string, string | undefined>>
}
