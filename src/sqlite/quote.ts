// Names and texts, quoted for SQL.

/** The name of a table, a column, an index or a trigger. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

export function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

/** A name, or SQL with names in it, as SQLite compares names: it ignores the case of ASCII letters, and of no others. */
export function foldCase(name: string): string {
  return name.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase())
}

/** SQLite's path to a nested field. Each name is quoted, so that every character in it is part of the name. */
export function jsonPathOf(fields: readonly string[]): string {
  return `$${fields.map((field) => `."${field}"`).join('')}`
}

/** The first name that no path can express: JSON writes it with an escape, and SQLite's versions disagree about those. */
export function unrepresentableField(fields: readonly string[]): string | undefined {
  return fields.find((field) => JSON.stringify(field) !== `"${field}"`)
}
