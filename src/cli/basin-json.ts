// Basin SQL's JSON functions for DuckDB, so that one text of SQL runs on both. They return what Cloudflare documents:
// https://developers.cloudflare.com/basin-pipelines/sql-reference/scalar-functions/json/

/** Keys of a path at most. DuckDB's macros have a fixed number of parameters, so there is one macro for each number. */
const KEYS_MAX = 8

/** The functions over (json, path). A path is a JSON Pointer (RFC 6901), made of the keys. */
const FUNCTIONS: Readonly<Record<string, string>> = {
  json_get_str: `CASE WHEN json_type(json, path) = 'VARCHAR' THEN json_extract_string(json, path) ELSE '' END`,
  json_get_int: `CASE WHEN json_type(json, path) IN ('BIGINT', 'UBIGINT')
    THEN COALESCE(TRY_CAST(json_extract_string(json, path) AS BIGINT), 0) ELSE 0 END`,
  json_get_float: `CASE WHEN json_type(json, path) IN ('BIGINT', 'UBIGINT', 'HUGEINT', 'DOUBLE')
    THEN CAST(json_extract_string(json, path) AS DOUBLE) ELSE 0.0 END`,
  json_get_bool: `CASE WHEN json_type(json, path) = 'BOOLEAN'
    THEN CAST(json_extract_string(json, path) AS BOOLEAN) ELSE false END`,
  json_get_json: 'CAST(json_extract(json, path) AS VARCHAR)',
  json_as_text: 'json_extract_string(json, path)',
  json_contains: 'COALESCE(json_exists(json, path), false)',
  json_length: `CASE json_type(json, path) WHEN 'ARRAY' THEN CAST(json_array_length(json, path) AS BIGINT)
    WHEN 'OBJECT' THEN len(json_keys(json, path)) ELSE 0 END`,
}

/** The statements that define them. `json_contains` replaces DuckDB's function of that name. */
export const JSON_MACROS: readonly string[] = Object.entries(FUNCTIONS).map(([name, body]) => {
  const variants = Array.from({ length: KEYS_MAX + 1 }, (_, keys) => variant(body, keys))
  return `CREATE MACRO ${name} ${variants.join(', ')}`
})

function variant(body: string, count: number): string {
  const keys = Array.from({ length: count }, (_, index) => `key${index + 1}`)
  const path = keys.map((key) => `'/' || replace(replace(CAST(${key} AS VARCHAR), '~', '~0'), '/', '~1')`)
  // A text that is not JSON has nothing at any path; DuckDB would refuse the whole query.
  const json = 'CASE WHEN json_valid(document) THEN document END'
  const expression = body.replaceAll(/\b(?:json|path)\b/g, (word) =>
    word === 'json' ? `(${json})` : `(${path.join(' || ') || "''"})`,
  )
  return `(${['document', ...keys].join(', ')}) AS ${expression}`
}
