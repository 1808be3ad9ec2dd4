import { useRuntime } from './engine/engine.ts'
import { web } from './runtimes/web.ts'

useRuntime(web)

export * from './index.ts'
