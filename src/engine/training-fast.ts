// The same with `precision: 'fast'`.
export { default } from '../../build/fast.wasm'
