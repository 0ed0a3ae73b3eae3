// A drizzle template as SQL text. The template renders itself; drizzle's dialects would come with all its query builders.

import type { SQL } from 'drizzle-orm'
import { CasingCache } from 'drizzle-orm/casing'
import { quoteName, quoteText } from '../sqlite/quote.ts'

const config = {
  casing: new CasingCache(),
  escapeName: quoteName,
  escapeParam: () => '?',
  escapeString: quoteText,
}

export function renderSQL(template: SQL): { readonly sql: string; readonly params: unknown[] } {
  return template.toQuery(config)
}
