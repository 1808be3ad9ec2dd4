import { runner } from './ort.mjs'

export async function load({ onnx, threads }) {
  const { default: ort } = await import('onnxruntime-node')
  const options = { executionProviders: ['cpu'], graphOptimizationLevel: 'all', intraOpNumThreads: threads, interOpNumThreads: 1 }
  return runner(ort, await ort.InferenceSession.create(onnx, options))
}
