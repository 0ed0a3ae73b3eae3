// Names and texts, quoted for SQL.

/** The name of a table, a column, an index or a trigger. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

export function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

/** SQLite's path to a nested field. Each name is quoted, so that any character is part of it. */
export function jsonPathOf(fields: readonly string[]): string {
  return `$${fields.map((field) => `."${field}"`).join('')}`
}

/** A field that no path can name: JSON writes it with an escape, and SQLite's versions disagree about these. */
export function unrepresentableField(fields: readonly string[]): string | undefined {
  return fields.find((field) => JSON.stringify(field) !== `"${field}"`)
}
