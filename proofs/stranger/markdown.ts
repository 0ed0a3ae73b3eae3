// The code blocks of the documentation, and what each is. A word after its language, which a reader does not see, tells what
// the text alone does not:
//
//   ts              a module if it exports something, otherwise statements inside a method of an object
//   ts member       a member of a class
//   ts sketch       something is left out: not compiled
//   sh install      installs packages into the reader's project
//   sh run          runs in the reader's project, beside its Worker
//   ts src/shop.ts  a file of that name; a first line such as `// src/shop.ts` says the same, and is for the reader too

export interface Block {
  /** Such as `README.md:24`. */
  readonly place: string
  readonly language: string
  readonly word: string
  readonly text: string
}

const FENCE = /^```(\w+) ?(.*)\n([^]*?)^```$/gm
const FIRST_LINE_PATH = /^(?:\/\/|#) ([\w./-]+\.\w+)\b/

export function blocksOf(document: string, markdown: string): Block[] {
  return Array.from(markdown.matchAll(FENCE), ({ index, 1: language = '', 2: word = '', 3: text = '' }) => {
    const line = markdown.slice(0, index).split('\n').length
    return { place: `${document}:${line}`, language, word, text }
  })
}

/** The path of the file that a block is, if it is one. */
export function pathOf({ word, text }: Block): string | undefined {
  return word.includes('.') ? word : FIRST_LINE_PATH.exec(text)?.[1]
}

/** A block of TypeScript as a module that compiles; nothing for a sketch. */
export function moduleOf({ word, text }: Block): string | undefined {
  if (word === 'sketch') return undefined
  if (/^export /m.test(text)) return text
  const imports = text.match(/^import .*$/gm) ?? []
  const rest = text.replaceAll(/^import .*\n/gm, '')
  // What is a field of a class in the documentation is a constant here.
  const body = rest.replaceAll(/^(\w+) = new /gm, 'const $1 = new ')
  const member = word === 'member' ? rest : `async method(): Promise<void> {\n${body}\n}`
  return `${imports.join('\n')}\nexport class Reader extends CDCDurableObject<Env> {\n${member}\n}\n`
}
