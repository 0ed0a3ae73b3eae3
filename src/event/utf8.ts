const utf8 = new TextEncoder()
/** Room for the JSON of most events, so that counting their bytes allocates nothing. */
const scratch = new Uint8Array(4_096)

/** The length of a text in UTF-8 bytes. */
export function utf8Bytes(text: string): number {
  if (text === '') return 0
  const { read, written } = utf8.encodeInto(text, scratch)
  return read === text.length ? written : utf8.encode(text).byteLength
}
