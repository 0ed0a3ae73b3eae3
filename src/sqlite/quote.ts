// Names and texts as SQL writes them.

/** The name of a table, a column, an index or a trigger. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

export function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

/** SQLite's path to a field inside others, each name in quotes, so that whatever it holds is part of it. */
export function jsonPathOf(fields: readonly string[]): string {
  return `$${fields.map((field) => `."${field}"`).join('')}`
}

/** A name that no path can say: one that JSON writes with an escape, about which SQLite's versions disagree. */
export function unsayableField(fields: readonly string[]): string | undefined {
  return fields.find((field) => JSON.stringify(field) !== `"${field}"`)
}
