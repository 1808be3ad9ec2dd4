import type { ResponseCache } from '../weights/cache.ts'
import type { Fetch } from '../weights/http.ts'

export interface Env {
  /** The hub; HF_ENDPOINT, or else https://huggingface.co, when undefined. */
  remoteHost: string | undefined
  /** Whether models may come from the hub and from addresses. */
  allowRemoteModels: boolean
  /** Whether names are looked for on this machine. */
  allowLocalModels: boolean
  /** A folder, or an address, that holds models by their names; looked into before anything else. */
  localModelPath: string | undefined
  /** Where files of the hub are kept, as option `cache_dir`. */
  cacheDir: string | null | undefined
  /** Keeps files of the hub instead: a page's `await caches.open(name)`, or any object with match and put. */
  customCache: ResponseCache | undefined
  /** What fetches, as option `fetch`. */
  fetch: Fetch | undefined
}

/**
 * Defaults for every load, with the names of transformers.js. Misspelt names throw.
 *
 *     env.localModelPath = '/models/'
 *     env.allowRemoteModels = false
 */
export const env: Env = Object.seal({
  remoteHost: undefined,
  allowRemoteModels: true,
  allowLocalModels: true,
  localModelPath: undefined,
  cacheDir: undefined,
  customCache: undefined,
  fetch: undefined,
})
