// A short fingerprint of a document's embedding and content, by which readers of events can tell whether these have changed.
// MurmurHash3 x86 128 (github.com/aappleby/smhasher), which is fast and not meant to withstand forgery: SHA-256 in JavaScript
// would take longer than the insert itself.

const BLOCK_BYTES = 16
const utf8 = new TextEncoder()
/** Room for most embeddings with their content, so that hashing them allocates nothing. */
const scratch = viewsOf(65_536)

/** MurmurHash3 x86 128 with seed 0 of the embedding's little-endian 32-bit floats and the content's UTF-8: 32 hex digits. */
export function contentHash(embedding: Float32Array, content: string): string {
  const maxBytes = embedding.byteLength + content.length * 3 + BLOCK_BYTES
  const { floats, bytes, words } = maxBytes <= scratch.bytes.length ? scratch : viewsOf(maxBytes + (-maxBytes & 3))
  floats.set(embedding)
  const length = embedding.byteLength + utf8.encodeInto(content, bytes.subarray(embedding.byteLength)).written
  // The last block is padded with zeros.
  bytes.fill(0, length, length + BLOCK_BYTES)
  return murmur3(words, length)
}

/** The same memory as what is written and as what is read. */
function viewsOf(size: number): { floats: Float32Array; bytes: Uint8Array; words: Uint32Array } {
  const buffer = new ArrayBuffer(size)
  return { floats: new Float32Array(buffer), bytes: new Uint8Array(buffer), words: new Uint32Array(buffer) }
}

const C1 = 0x239b961b
const C2 = 0xab0e9789
const C3 = 0x38b34ae5
const C4 = 0xa1e38b93

/** @param words what is hashed, padded with zeros to the end of its last block. */
function murmur3(words: Uint32Array, length: number): string {
  let h1 = 0
  let h2 = 0
  let h3 = 0
  let h4 = 0
  const wordsInBlocks = (length >>> 4) << 2
  let at = 0
  for (; at < wordsInBlocks; at += 4) {
    h1 ^= Math.imul(rotate(Math.imul(words[at] ?? 0, C1), 15), C2)
    h1 = (Math.imul(rotate(h1, 19) + h2, 5) + 0x561ccd1b) | 0
    h2 ^= Math.imul(rotate(Math.imul(words[at + 1] ?? 0, C2), 16), C3)
    h2 = (Math.imul(rotate(h2, 17) + h3, 5) + 0x0bcaa747) | 0
    h3 ^= Math.imul(rotate(Math.imul(words[at + 2] ?? 0, C3), 17), C4)
    h3 = (Math.imul(rotate(h3, 15) + h4, 5) + 0x96cd1c35) | 0
    h4 ^= Math.imul(rotate(Math.imul(words[at + 3] ?? 0, C4), 18), C1)
    h4 = (Math.imul(rotate(h4, 13) + h1, 5) + 0x32ac3b17) | 0
  }
  h1 ^= Math.imul(rotate(Math.imul(words[at] ?? 0, C1), 15), C2) ^ length
  h2 ^= Math.imul(rotate(Math.imul(words[at + 1] ?? 0, C2), 16), C3) ^ length
  h3 ^= Math.imul(rotate(Math.imul(words[at + 2] ?? 0, C3), 17), C4) ^ length
  h4 ^= Math.imul(rotate(Math.imul(words[at + 3] ?? 0, C4), 18), C1) ^ length
  h1 = (h1 + h2 + h3 + h4) | 0
  h2 = avalanche(h2 + h1)
  h3 = avalanche(h3 + h1)
  h4 = avalanche(h4 + h1)
  h1 = (avalanche(h1) + h2 + h3 + h4) | 0
  return hex(h1) + hex(h2 + h1) + hex(h3 + h1) + hex(h4 + h1)
}

function rotate(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits))
}

function avalanche(word: number): number {
  let mixed = word
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return mixed ^ (mixed >>> 16)
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

function hex(word: number): string {
  return `${HEX[word >>> 24]}${HEX[(word >>> 16) & 255]}${HEX[(word >>> 8) & 255]}${HEX[word & 255]}`
}
