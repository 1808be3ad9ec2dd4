// npm run measure:workerd : what a model takes of the memory of an isolate of workerd, which has 128 MB, once it has answered for 1x128: the memory of wasm, the JS
// heap and what it holds outside as the inspector tells, and the code. all-MiniLM-L6-v2 in 8 bits, and BERT-base of a seed in 4, made by the command.
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { BertConfig, BertModel } from '../../src/index.node.ts'
import { ensureIsolates, withInspector, withWorkerd, type HeapUsage } from './runtimes/isolates.ts'

const run = promisify(execFile)
const root = path.join(import.meta.dirname, '../..')
const MB = 1e6
/** Memories of wasm are not among the buffers. */
const heapOf = ({ usedSize, embedderHeapUsedSize = 0, backingStorageSize = 0 }: HeapUsage): number =>
  usedSize + embedderHeapUsedSize + backingStorageSize

await ensureIsolates()
const folder = await mkdtemp(path.join(tmpdir(), 'bertlet-edge-'))
const at = (name: string): string => path.join(folder, name)
try {
  const command = (...args: string[]): Promise<unknown> => run(process.execPath, [path.join(root, 'dist/cli.js'), ...args])
  await command('export', at('minilm'), '--dtype', 'int8')
  const base = new BertModel(new BertConfig(), { seed: 1, threads: 0 })
  await base.savePretrained(at('base-f32'))
  await base.dispose()
  await command('quantize', at('base-f32'), at('base'), '--dtype', 'int4')
  console.log(
    '| model | dtype | build | wasm memory MB | JS heap and buffers MB | code MB | together MB | at most, loading MB | goal |\n|---|---|---|---|---|---|---|---|---|',
  )
  for (const [name, model, limit] of [
    ['MiniLM', 'minilm', 64],
    ['BERT-base', 'base', 110],
  ] as const) {
    await withWorkerd(
      'memory-main.ts',
      { MODEL: at(model) },
      (isolate, code) =>
        withInspector(isolate, async (heap) => {
          const answer = isolate.dispatchFetch('http://isolate/').then((response) => response.text())
          // The memory of wasm only grows: with the most that the heap ever held it is the peak of loading.
          let most = 0
          let done = false
          const watching = (async () => {
            for (; !done; await sleep(10)) most = Math.max(most, heapOf(await heap()))
          })()
          const text = await answer.finally(() => (done = true))
          await watching
          if (!text.startsWith('{')) throw new Error(text)
          const { memory, dtype, build } = JSON.parse(text) as { memory: number; dtype: string; build: string }
          const held = heapOf(await heap())
          const [together, peak] = [memory + held + code, memory + Math.max(most, held) + code]
          console.log(
            `| ${name} | ${dtype} | ${build} | ${mega(memory)} | ${mega(held)} | ${mega(code)} | ${mega(together)} | ${mega(peak)} | ${limit} |`,
          )
          if (peak > limit * MB) process.exitCode = 1
        }),
      { minify: true },
    )
  }
} finally {
  await rm(folder, { recursive: true, force: true })
}

function mega(bytes: number): string {
  return (bytes / MB).toFixed(1)
}
