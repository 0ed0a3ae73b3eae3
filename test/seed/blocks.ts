// The code blocks of the project's first document, which lies beside this file as its writer gave it.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const document = readFileSync(join(import.meta.dirname, 'cdc.md'), 'utf8')

interface Block {
  readonly heading: string
  readonly code: string
}

export const blocks: readonly Block[] = document.split(/^#+ (?=.+$)/m).flatMap((section) => {
  const heading = section.split('\n', 1)[0] ?? ''
  return Array.from(section.matchAll(/^```\w*\n([^]*?)^```$/gm), ([, code = '']) => ({ heading, code }))
})

/** The code block under a heading. */
export function blockUnder(heading: string): string {
  const block = blocks.find((block) => block.heading === heading)
  if (block === undefined) throw new Error(`the document has no block under ${heading}`)
  return block.code
}
