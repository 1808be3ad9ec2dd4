// A file of its own, so that the bundler puts these bytes where only those who ask for `precision: 'fast'` load them.
export { default } from '../../build/inference-fast.wasm'
