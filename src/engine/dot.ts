// A file of its own, so that the bundler puts these bytes where only those who load int8 weights load them.
export { default } from '../../build/inference-dot.wasm'
