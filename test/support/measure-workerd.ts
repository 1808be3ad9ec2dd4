// npm run measure:workerd : what a model takes of the memory of an isolate of workerd, which has 128 MB, once it has answered for 1x128: the memory of wasm, the JS
// heap and what it holds outside as the inspector tells, and the code. all-MiniLM-L6-v2 in 8 bits, and BERT-base of a seed in 4, made by the command.
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { BertConfig, BertModel } from '../../src/index.node.ts'
import { ensureIsolates, withInspector, withWorkerd, type HeapUsage } from './runtimes/isolates.ts'

const run = promisify(execFile)
const root = path.join(import.meta.dirname, '../..')
const MB = 1e6
const heapOf = ({ usedSize, embedderHeapUsedSize = 0 }: HeapUsage): number => usedSize + embedderHeapUsedSize

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
    '| model | dtype | build | wasm memory MB | JS heap MB (after collecting) | buffers outside MB | code MB | together MB | at most | most while loading MB |',
  )
  console.log('|---|---|---|---|---|---|---|---|---|---|')
  for (const [name, model, limit] of [
    ['MiniLM', 'minilm', 64],
    ['BERT-base', 'base', 110],
  ] as const) {
    await withWorkerd(
      'memory-main.ts',
      { MODEL: at(model) },
      (isolate, code) =>
        withInspector(isolate, async (heap) => {
          let [going, most] = [true, 0]
          const watching = (async () => {
            while (going) most = Math.max(most, heapOf(await heap(false)))
          })()
          const bytes = (await (await isolate.dispatchFetch('http://isolate/')).json()) as { memory: number; dtype: string; build: string }
          going = false
          await watching
          const [before, after] = [await heap(false), await heap(true)]
          console.error(JSON.stringify({ before, after, most, bytes }))
          const outside = after.backingStorageSize ?? 0
          const together = bytes.memory + heapOf(before) + code
          console.log(
            `| ${name} | ${bytes.dtype} | ${bytes.build} | ${mega(bytes.memory)} | ${mega(heapOf(before))} (${mega(heapOf(after))}) | ${mega(outside)} | ${mega(code)} | ${mega(together)} | ${limit} | ${mega(most)} |`,
          )
          if (together > limit * MB) process.exitCode = 1
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
