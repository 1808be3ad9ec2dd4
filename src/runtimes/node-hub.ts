// What the environment says about the Hugging Face hub, in the variables of its Python library.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import path from 'node:path'
import { expected } from '../errors.ts'
import { folderCache } from './node-cache.ts'
import type { HubPlatform } from './runtime.ts'

const TRUE = /^(1|on|yes|true)$/i

/** `env` is read anew on each call: a test, or a program, may change it. */
export function nodeHub(env: Readonly<Record<string, string | undefined>> = process.env): HubPlatform {
  const set = (...names: string[]): string | undefined =>
    names.map((name) => env[name]).find((value) => value !== undefined && value !== '')
  const is = (...names: string[]): boolean => names.some((name) => TRUE.test(env[name] ?? ''))
  const home = set('HF_HOME') ?? path.join(set('XDG_CACHE_HOME') ?? path.join(homedir(), '.cache'), 'huggingface')
  return {
    endpoint: set('HF_ENDPOINT'),
    offline: is('HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE'),
    token: () => {
      if (is('HF_HUB_DISABLE_IMPLICIT_TOKEN')) return undefined
      return set('HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN') ?? tokenFile(set('HF_TOKEN_PATH') ?? path.join(home, 'token'))
    },
    cacheDir: untilde(set('HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE') ?? path.join(home, 'hub')),
    cache: (folder) => {
      if (folder.includes('\0')) throw expected('cache_dir', 'the path of a folder', folder)
      return folderCache(path.resolve(untilde(folder)), { symlinks: !is('HF_HUB_DISABLE_SYMLINKS') })
    },
    sha256: () => {
      const hash = createHash('sha256')
      return { update: (bytes) => hash.update(bytes), digest: () => hash.digest('hex') }
    },
  }
}

const untilde = (folder: string): string => folder.replace(/^~(?=$|[\\/])/, homedir())

function tokenFile(file: string): string | undefined {
  try {
    return readFileSync(untilde(file), 'utf8').trim() || undefined
  } catch {
    return undefined
  }
}
