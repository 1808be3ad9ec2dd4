// A file of its own, so that the bundler puts these bytes where only those who train load them.
export { default } from '../../build/simd.wasm'
