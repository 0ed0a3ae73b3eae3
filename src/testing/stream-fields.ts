/** The schema of a stream, as `wrangler basin pipelines streams create --schema-file` reads it. */
export interface StreamSchema {
  readonly fields: readonly StreamField[]
}

/** One column. A timestamp is an RFC 3339 string, or a whole number of its unit since 1970. */
export type StreamField =
  | { readonly name: string; readonly type: 'string' | 'int64' | 'json'; readonly required: boolean }
  | { readonly name: string; readonly type: 'timestamp'; readonly unit: 'microsecond'; readonly required: boolean }
