// onnxruntime-web in an isolate of workerd, which compiles nothing at run time: it only starts where WebAssembly.instantiate is replaced by one that takes the module
// that was compiled with the script.
import module from './ort.wasm'
import * as ort from 'onnxruntime-web/wasm'
import { runner } from './ort.mjs'
import { answer } from './workerd-rows.mjs'

WebAssembly.instantiate = async (_, imports) => ({ module, instance: new WebAssembly.Instance(module, imports) })
Object.assign(ort.env.wasm, { numThreads: 1, wasmBinary: new Uint8Array(8) })

export default answer(async (fetch) => {
  const bytes = new Uint8Array(await (await fetch('model_int8.onnx')).arrayBuffer())
  return runner(ort, await ort.InferenceSession.create(bytes, { executionProviders: ['wasm'], graphOptimizationLevel: 'all' }))
})
