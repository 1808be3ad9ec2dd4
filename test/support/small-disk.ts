// A file system that is really full after a few bytes: a tmpfs of its own.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

export interface SmallDisk {
  readonly folder: string
  resize(bytes: number): void
  remove(): void
}

/** Or why none can be mounted here: that takes Linux and root, or sudo that asks for no password. */
export function smallDisk(bytes: number): SmallDisk | string {
  const folder = mkdtempSync(path.join(tmpdir(), 'bertlet-full-'))
  const asRoot = (...args: string[]): void => void execFileSync(args[0]!, args.slice(1), { stdio: ['ignore', 'ignore', 'pipe'] })
  const sudo = process.getuid?.() === 0 ? [] : ['sudo', '-n']
  const owner = `uid=${process.getuid?.() ?? 0},gid=${process.getgid?.() ?? 0}`
  try {
    asRoot(...sudo, 'mount', '-t', 'tmpfs', '-o', `size=${bytes},${owner}`, 'tmpfs', folder)
  } catch (cause) {
    rmdirSync(folder)
    return `no tmpfs can be mounted here. Run it on Linux as root. ${(cause as Error).message}`
  }
  return {
    folder,
    resize: (size) => asRoot(...sudo, 'mount', '-o', `remount,size=${size}`, folder),
    remove: () => {
      asRoot(...sudo, 'umount', folder)
      rmdirSync(folder)
    },
  }
}
