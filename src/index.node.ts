import { useRuntime } from './engine/engine.ts'
import { node } from './runtimes/node.ts'

useRuntime(node)

export * from './index.ts'
