/** What vitest lets through to the tests of its environment: variables whose names begin with VITE_. */
interface ImportMeta {
  readonly env: Readonly<Record<string, string | undefined>>
}
