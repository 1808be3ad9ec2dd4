// The suite in a process: Node, Deno or Bun. Takes the folder of golden files, and `about` to tell only of the runtime; one line of JSON a case.
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import '../../../src/index.node.ts'
import { aboutRuntime } from './about.ts'
import { runSuite, type Told } from './suite.ts'

const folder = process.argv[2]!
const tell = (told: Told): void => console.log(JSON.stringify(told))
tell({ type: 'runtime', runtime: await aboutRuntime() })
if (process.argv[3] === 'about') tell({ type: 'end' })
else await runSuite({ read: async (file) => new Uint8Array(await readFile(path.join(folder, file))) }, tell)
