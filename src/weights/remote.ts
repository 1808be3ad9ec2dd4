// All that asks a server, and what keeps its answers. Loaded with the first file that is wanted of one: who has the files at hand never loads it.
export { responseCache } from './cache.ts'
export { hubSource } from './hub.ts'
export { urlSource } from './url.ts'
