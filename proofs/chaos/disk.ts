// The disk that a run keeps its state on: a file system of its own, in memory, so that it can be full.

import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, statfsSync } from 'node:fs'
import { FAILED } from './run-to-end.ts'

/** More than a run needs. Only what is written takes memory. */
const SIZE_BYTES = 2 ** 30
/** What is written meanwhile makes a size too small. */
const RESIZES_MAX = 50

export interface Disk {
  /** Nothing more can be written, until it is freed. */
  fill(): void
  free(): void
}

/**
 * Mounts a disk at a path. After a run that fails, what was on it is kept in a directory.
 *
 * @returns nothing if this user may not mount anything; `unshare -rm npm run chaos` may be allowed to.
 */
export function mountDisk(path: string, keptIn: string): Disk | undefined {
  mkdirSync(path, { recursive: true })
  if (!mount('-t', 'tmpfs', '-o', `size=${SIZE_BYTES}`, 'durable-outbox-chaos', path)) return undefined
  // Before the directory around it is removed.
  process.prependOnceListener('exit', (code) => {
    if (code === FAILED) cpSync(path, keptIn, { recursive: true })
    spawnSync('umount', ['--lazy', path])
  })
  const resize = (bytesOf: () => number): void => {
    for (let attempt = 1; attempt <= RESIZES_MAX; attempt += 1)
      if (mount('-o', `remount,size=${bytesOf()}`, path)) return
    throw new Error(`the disk at ${path} cannot be given another size`)
  }
  return { fill: () => resize(() => usedBytes(path)), free: () => resize(() => SIZE_BYTES) }
}

function usedBytes(path: string): number {
  const { blocks, bfree, bsize } = statfsSync(path)
  return (blocks - bfree) * bsize
}

function mount(...args: readonly string[]): boolean {
  return spawnSync('mount', args).status === 0
}
