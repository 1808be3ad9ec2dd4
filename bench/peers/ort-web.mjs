import { readFile } from 'node:fs/promises'
import { runner } from './ort.mjs'

export async function load({ onnx, threads }) {
  const ort = await import('onnxruntime-web')
  ort.env.wasm.numThreads = threads
  return runner(
    ort,
    await ort.InferenceSession.create(await readFile(onnx), { executionProviders: ['wasm'], graphOptimizationLevel: 'all' }),
  )
}
