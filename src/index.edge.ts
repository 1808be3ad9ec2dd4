import { useRuntime } from './engine/engine.ts'
import { edge } from './runtimes/edge.ts'

useRuntime(edge)

export * from './index.ts'
