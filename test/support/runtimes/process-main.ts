// A task in a process: Node, Deno or Bun. Takes the task and the folders of golden files and of the model; tells in lines of JSON.
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import '../../../src/index.node.ts'
import type { Files } from '../../conformance/case.ts'
import { perform, type Task } from './suite.ts'

const [, , task, golden, model] = process.argv as [string, string, Task, string, string]
const folder = (name: string): Files => ({ read: async (file) => new Uint8Array(await readFile(path.join(name, file))) })
await perform(task, { golden: folder(golden), model: folder(model), clock: () => performance.now() }, (told) =>
  console.log(JSON.stringify(told)),
)
